"""What is in `deploy/` agrees with the program it deploys: names, ports, flags, paths and budgets."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotfish import settings
from pilotfish.settings import Settings
from pilotfish.settings.units import size

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
REGISTRY = yaml.safe_load((ROOT / "python/pilotfish/telemetry/registry.yaml").read_text())

Yaml = dict[str, Any]


def declared(file: str, key: str) -> str:
    """Value of the first `key = "value"` of a TOML file; Python 3.10 has no parser of its own."""
    found = re.search(rf'^{key} = (?:\["?|")?([^"\]\n]+)', (ROOT / file).read_text(), re.MULTILINE)
    assert found is not None, f"{file} has no {key}"
    return found[1]


# === the image ===


def instructions() -> list[list[tuple[str, str]]]:
    """Stages of the Containerfile, each a list of instruction and argument; what precedes FROM is one too."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = [[]]
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, argument = line.partition(" ")
            if word == "FROM":
                stages.append([])
            stages[-1].append((word, argument.strip()))
    return stages


def values(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [argument for instruction, argument in stage if instruction == word]


def copied() -> list[str]:
    sources = []
    for stage in instructions():
        for argument in values(stage, "COPY"):
            if not argument.startswith("--from"):
                sources += shlex.split(argument)[:-1]
    return sources


def test_the_image_is_built_in_stages_and_the_last_one_has_no_compiler() -> None:
    stages = instructions()
    assert len(stages) >= 3
    final = stages[-1]
    assert "slim" in values(final, "FROM")[0]
    assert not values(final, "RUN")
    assert all(argument.startswith("--from=build") for argument in values(final, "COPY"))


def test_the_image_does_not_run_as_root_and_says_so_in_numbers() -> None:
    """Kubernetes cannot verify `runAsNonRoot` of a user it knows only by name."""
    [user] = values(instructions()[-1], "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_image_copies_what_exists_and_nothing_more() -> None:
    allowed = [
        line[1:]
        for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert sorted(copied()) == sorted(allowed)
    assert all((ROOT / source).exists() for source in copied())


def test_the_image_has_all_the_package_is_built_from() -> None:
    needed = {declared("pyproject.toml", key) for key in ("readme", "license-files", "python-source")}
    assert needed == {"README.md", "LICENSE", "python"}
    assert needed <= set(copied())


def test_the_image_s_toolchains_are_new_enough() -> None:
    arguments = dict(argument.split("=", 1) for argument in values(instructions()[0], "ARG"))
    assert version(arguments["RUST"]) >= version(declared("Cargo.toml", "rust-version"))
    assert version(arguments["PYTHON"]) >= version(declared("pyproject.toml", "requires-python").strip(">="))


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_the_image_starts_the_installed_command_and_opens_the_default_ports() -> None:
    final = instructions()[-1]
    [entry] = values(final, "ENTRYPOINT")
    assert declared("pyproject.toml", Path(yaml.safe_load(entry)[0]).name).startswith("pilotfish.")
    defaults = Settings.model_fields["listen"].default, Settings.model_fields["admin"].default
    assert values(final, "EXPOSE") == [" ".join(address.rpartition(":")[2] for address in defaults)]


# === Kubernetes ===


@pytest.fixture(scope="module")
def manifests() -> dict[str, Yaml]:
    return {
        document["kind"]: document
        for document in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    }


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Yaml]) -> Yaml:
    spec: Yaml = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def sidecar(pod: Yaml) -> Yaml:
    [container] = [container for container in pod["initContainers"] if container["name"] == "pilotfish"]
    return container


@pytest.fixture
def configuration(manifests: dict[str, Yaml], tmp_path: Path) -> Settings:
    path = tmp_path / "pilotfish.yaml"
    path.write_text(manifests["ConfigMap"]["data"]["pilotfish.yaml"])
    return settings.load(path, {}, {})


def port(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_it_is_a_native_sidecar(sidecar: Yaml) -> None:
    assert sidecar["restartPolicy"] == "Always"


def test_starting_does_not_wait_for_the_model(sidecar: Yaml) -> None:
    """The model starts after the sidecar's startup probe; gRPC health on the data port is the model's own."""
    assert sidecar["startupProbe"]["exec"]["command"] == ["pilotfish", "health"]
    assert sidecar["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}


def test_readiness_is_what_a_client_would_get(sidecar: Yaml, configuration: Settings) -> None:
    assert sidecar["readinessProbe"]["grpc"] == {"port": port(configuration.listen)}


def test_the_ports_are_those_of_the_configuration(
    sidecar: Yaml, configuration: Settings, manifests: dict[str, Yaml]
) -> None:
    ports = {entry["name"]: entry["containerPort"] for entry in sidecar["ports"]}
    assert ports == {"h2c": port(configuration.listen), "admin": port(configuration.admin)}
    annotations = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["admin"])
    [service] = manifests["Service"]["spec"]["ports"]
    assert service["targetPort"] in ports


def test_the_probes_reach_the_addresses(configuration: Settings) -> None:
    """The kubelet probes the address of the pod: what listens on loopback would never become ready."""
    assert configuration.listen.startswith("0.0.0.0:")
    assert configuration.admin.startswith("0.0.0.0:")


def test_the_admin_address_is_closed_to_other_namespaces(manifests: dict[str, Yaml]) -> None:
    rules = manifests["NetworkPolicy"]["spec"]["ingress"]
    assert all("from" in rule for rule in rules if {"port": "admin"} in rule["ports"])
    assert manifests["NetworkPolicy"]["spec"]["podSelector"] == manifests["Deployment"]["spec"]["selector"]


def test_the_model_is_reached_through_the_sidecar_only(pod: Yaml, configuration: Settings) -> None:
    [model] = pod["containers"]
    arguments = dict(
        argument.removeprefix("--").split("=", 1) for argument in model["args"] if "=" in argument
    )
    assert "ports" not in model
    assert configuration.versions["v1"].upstream == f"{arguments['grpc-address']}:{arguments['grpc-port']}"
    assert arguments["grpc-address"] == arguments["http-address"] == "127.0.0.1"


def test_there_is_time_to_stop(pod: Yaml, sidecar: Yaml, configuration: Settings) -> None:
    """The sidecar drains once the endpoints are withdrawn, and the model outlives that."""
    [model] = pod["containers"]
    shell, option, hook = sidecar["lifecycle"]["preStop"]["exec"]["command"]
    waited = re.fullmatch(r"sleep (\d+) && pilotfish drain", hook)
    assert (shell, option) == ("sh", "-c")
    assert waited is not None
    sleep = model["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep > int(waited[1]) + configuration.drain >= 10
    assert pod["terminationGracePeriodSeconds"] >= sleep + 2 * configuration.drain + 5


def test_the_last_good_configuration_outlives_the_container(sidecar: Yaml, configuration: Settings) -> None:
    path = Path(sidecar["args"][sidecar["args"].index("--last-good") + 1])
    assert configuration.journal is not None
    assert path.parent == configuration.journal.directory


def test_the_journal_fits_its_volume_and_is_mounted_writable(
    pod: Yaml, sidecar: Yaml, configuration: Settings
) -> None:
    journal = configuration.journal
    assert journal is not None
    [mount] = [
        mount for mount in sidecar["volumeMounts"] if journal.directory.is_relative_to(mount["mountPath"])
    ]
    assert not mount.get("readOnly", False)
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    room = size(volume["emptyDir"]["sizeLimit"].replace("Mi", "MiB"))
    assert room > len(journal.formats) * (journal.keep_files + 1) * journal.rotate_bytes


def test_the_configuration_is_mounted_where_the_command_looks_and_as_a_folder(
    sidecar: Yaml, pod: Yaml
) -> None:
    path = Path(sidecar["args"][sidecar["args"].index("--config") + 1])
    [mount] = [mount for mount in sidecar["volumeMounts"] if path.parent == Path(mount["mountPath"])]
    assert "subPath" not in mount
    assert mount["readOnly"]
    assert {mount["name"] for mount in sidecar["volumeMounts"]} <= {
        volume["name"] for volume in pod["volumes"]
    }


def test_the_sidecar_has_no_rights_it_does_not_need(pod: Yaml, sidecar: Yaml) -> None:
    context = sidecar["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"]
    [user] = values(instructions()[-1], "USER")
    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert sidecar["resources"]["limits"]["memory"]


def test_the_image_s_tag_is_the_version(sidecar: Yaml) -> None:
    assert sidecar["image"].rpartition(":")[2] == declared("Cargo.toml", "version")


def test_variables_that_refer_to_others_come_after_them(sidecar: Yaml) -> None:
    """Kubernetes leaves `$(NAME)` as it is where NAME is not defined above."""
    known: set[str] = set()
    for variable in sidecar["env"]:
        assert set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= known
        known.add(variable["name"])


# === the collector ===


@pytest.fixture(scope="module")
def collector() -> Yaml:
    document: Yaml = yaml.safe_load((DEPLOY / "collector.yaml").read_text())
    return document


def test_every_component_is_defined_and_used(collector: Yaml) -> None:
    pipelines = collector["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in pipelines for name in pipeline[kind]}
        assert used == set(collector[kind])
    assert set(collector["service"]["extensions"]) == set(collector["extensions"])


def test_all_three_signals_are_taken_and_memory_is_limited_first(collector: Yaml) -> None:
    pipelines = collector["service"]["pipelines"]
    assert set(pipelines) == {"metrics", "traces", "logs"}
    assert all(pipeline["processors"][0] == "memory_limiter" for pipeline in pipelines.values())


def test_the_collector_listens_where_the_sidecar_sends(collector: Yaml, sidecar: Yaml) -> None:
    [endpoint] = [
        variable["value"] for variable in sidecar["env"] if variable["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT"
    ]
    assert port(endpoint) == port(collector["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"])


# === the alert rules ===

TARGET_LABELS = {"job", "instance", "le"}
_UNITS = {"s": "_seconds", "By": "_bytes"}


def series() -> dict[str, set[str]]:
    """Names on the Prometheus page and their labels, from the registry alone."""
    names = {}
    for metric in REGISTRY["metrics"]:
        if not metric["prometheus"]:
            continue
        name = metric["name"].replace(".", "_") + _UNITS.get(metric["unit"], "")
        labels = {attribute.replace(".", "_") for attribute in metric["attributes"]}
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(
            metric["instrument"], [""]
        )
        names |= {name + ending: labels for ending in endings}
    return names


def rules() -> list[Yaml]:
    groups = yaml.safe_load((DEPLOY / "prometheus-rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


each_rule = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])


@each_rule
def test_a_rule_asks_for_metrics_and_labels_that_exist(rule: Yaml) -> None:
    known, expression = series(), rule["expr"]
    used = set(
        re.findall(
            r"\b(?:pilotfish|rpc|process)_\w+", re.sub(r"\{[^}]*\}|by \([^)]*\)|\"[^\"]*\"", "", expression)
        )
    )
    assert used, "a rule about nothing"
    assert used <= set(known)
    labels = set().union(*(known[name] for name in used)) | TARGET_LABELS
    for group in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", group)) <= labels
    for matchers in re.findall(r"\{([^}]*)\}", expression):
        assert {re.split(r"[=!]", matcher)[0] for matcher in matchers.split(",")} <= labels


@each_rule
def test_a_rule_names_only_values_that_are_exported(rule: Yaml) -> None:
    described = {
        name.replace(".", "_"): entry["description"] for name, entry in REGISTRY["attributes"].items()
    }
    described["pilotfish_outcome"] = " ".join(metric["description"] for metric in REGISTRY["metrics"])
    described["error_type"] += described["pilotfish_outcome"]
    for label, _, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', rule["expr"]):
        for one in filter(None, value.split("|")):
            assert f"`{one}`" in described[label], (label, one)


@each_rule
def test_a_rule_says_what_is_the_case_and_what_to_do(rule: Yaml) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["remedy"]
    grouped = {
        label for group in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in re.split(r",\s*", group)
    }
    shown = {label for text in rule["annotations"].values() for label in re.findall(r"\$labels\.(\w+)", text)}
    assert shown <= grouped


def test_no_two_rules_share_a_name() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_the_rules_fire_when_they_should_and_only_then() -> None:
    run = subprocess.run(
        ["promtool", "test", "rules", "prometheus-rules.test.yaml"],
        cwd=DEPLOY,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
