"""Configuration that is published: the examples can be run, and the reference says what the code does."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from pilotfish.settings import Settings, load, reference

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "deploy").glob("pilotfish*.yaml")), ids=lambda path: path.name
)
def test_the_published_examples_can_be_run(path: Path) -> None:
    load(path, {}, {})


def test_the_example_has_every_key_there_is() -> None:
    held = yaml.safe_load((ROOT / "deploy" / "pilotfish.yaml").read_text())
    assert set(held) == set(Settings.model_fields)
    for name in ("sampling", "monitor", "journal", "telemetry", "log", "limits"):
        field = Settings.model_fields[name].annotation
        kinds = [kind for kind in (field, *getattr(field, "__args__", ())) if hasattr(kind, "model_fields")]
        assert set(held[name]) == set(kinds[0].model_fields)


def test_the_schema_accepts_the_example_and_refuses_an_unknown_key() -> None:
    schema = Settings.model_json_schema()
    held = yaml.safe_load((ROOT / "deploy" / "pilotfish.yaml").read_text())
    jsonschema.validate(held, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**held, "lisen": 1}, schema)


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == reference.reference(), (
        "run: python -m pilotfish.settings.reference > docs/configuration.md"
    )


def test_every_setting_is_described_in_the_reference() -> None:
    rows = [line for line in reference.reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    assert not [row for row in rows if row.endswith("|  |")]


def test_the_example_differs_from_the_defaults_only_where_it_is_an_example() -> None:
    held = yaml.safe_load((ROOT / "deploy" / "pilotfish.yaml").read_text())
    shown = Settings.model_validate(held)
    plain = Settings.model_validate({"versions": held["versions"]})
    differ = {
        f"{section}.{name}"
        for section in ("sampling", "monitor", "telemetry", "log", "limits")
        for name in type(getattr(plain, section)).model_fields
        if getattr(getattr(shown, section), name) != getattr(getattr(plain, section), name)
    }
    assert differ == {
        "sampling.slower_than",
        "monitor.pane_time",
        "monitor.tensors",
        "monitor.volume",
        "telemetry.otlp",
        "telemetry.resource",
    }
