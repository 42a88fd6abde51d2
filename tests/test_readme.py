"""The README says what is: its configuration can be run, its commands and links exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from pilotfish.cli import app
from pilotfish.settings import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line and line[0].endswith("pilotfish")]


def test_the_configuration_can_be_run(tmp_path: Path) -> None:
    (example,) = blocks("yaml")
    file = tmp_path / "pilotfish.yaml"
    file.write_text(example.replace(", profile: v1.profile", ""))
    settings = load(file, {}, {})
    assert settings.routes[0].candidates[0].weight_ppm == 100_000


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_is_understood(arguments: list[str]) -> None:
    command = get_command(app)
    while hasattr(command, "commands"):
        found = command.commands.get(arguments[0])
        assert found is not None, arguments[0]
        command, arguments = found, arguments[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= known


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
