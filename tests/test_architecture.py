"""Rules about structure that no linter knows, each with its reason."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUST = sorted((ROOT / "rust").glob("*/src/**/*.rs"))
PYTHON = sorted((ROOT / "python" / "pilotfish").rglob("*.py"))
MANIFESTS = sorted((ROOT / "rust").glob("*/Cargo.toml"))


def crates_with(dependency: str) -> set[str]:
    return {
        path.parent.name
        for path in MANIFESTS
        if re.search(rf"^{dependency}\b", path.read_text(), re.MULTILINE)
    }


def modules_importing(package: str) -> set[str]:
    pattern = re.compile(rf"^\s*(?:from|import) {package}\b", re.MULTILINE)
    return {
        path.relative_to(ROOT / "python/pilotfish").parts[0]
        for path in PYTHON
        if pattern.search(path.read_text())
    }


def test_only_the_binding_knows_pyo3() -> None:
    assert crates_with("pyo3") == {"binding"}


def test_the_core_depends_on_no_runtime_and_no_other_crate_of_ours() -> None:
    manifest = (ROOT / "rust/core/Cargo.toml").read_text()
    assert not re.search(r"^(tokio|h2|hyper|mio|pilotfish-\w+)\b", manifest, re.MULTILINE)


def test_wire_takes_nothing_from_the_core_but_tensors() -> None:
    used = {
        module
        for path in (ROOT / "rust/wire/src").rglob("*.rs")
        for module in re.findall(r"pilotfish_core::(\w+)", path.read_text())
    }
    assert used == {"tensor"}


def test_every_class_of_the_extension_is_frozen() -> None:
    """Locking is Rust's business: a class that Python could mutate would need the GIL to be safe."""
    classes = [match for path in RUST for match in re.findall(r"#\[pyclass([^\]]*)\]", path.read_text())]
    assert classes
    assert all("frozen" in options for options in classes)


def test_unsafe_code_is_forbidden_outside_the_binding() -> None:
    for crate in {path.parts[-3] for path in RUST if path.name == "lib.rs"} - {"binding"}:
        assert "#![forbid(unsafe_code)]" in (ROOT / "rust" / crate / "src/lib.rs").read_text(), crate


def test_only_telemetry_knows_opentelemetry() -> None:
    """Its names and private corners change: one place follows them. The fake collector reads it."""
    assert modules_importing("opentelemetry") <= {"telemetry", "testing"}


def test_a_file_is_one_noun() -> None:
    banned = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [path for path in [*RUST, *PYTHON] if path.stem in banned] == []


def test_the_first_line_of_every_module_says_what_it_is() -> None:
    for path in PYTHON:
        text = path.read_text()
        assert not text.strip() or text.startswith(('"""', 'r"""')), path
    for path in RUST:
        assert path.read_text().startswith("//!"), path


def test_the_version_is_kept_once() -> None:
    version = re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    import pilotfish

    assert version is not None
    assert pilotfish.__version__ == version[1]
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("module", ["pilotfish", "pilotfish.settings", "pilotfish.plane.grpcio"])
def test_the_call_path_imports_neither_protobuf_nor_opentelemetry(module: str) -> None:
    """Their versions are the user's business, and their parsers no place for hostile payloads."""
    program = (
        f"import sys, {module}; "
        "print([name for name in ('google.protobuf', 'opentelemetry') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
