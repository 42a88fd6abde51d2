"""``pilotfish profile build`` with scores, labels and joint maps: what it says of the model as a whole."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_profile import done, pilotfish, refusal, shown

from pilotfish import _core
from pilotfish.settings import load
from pilotfish.statistics import performance
from pilotfish.statistics.multivariate import into_profile
from pilotfish.statistics.performance import ScoreTable
from pilotfish.testing.model import MODEL_INFER, infer_request

ROWS = 3_000


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Two columns of input, a score, its label (some are missing), and two more classes."""
    random = np.random.default_rng(3)
    first, second = random.normal(size=ROWS), random.normal(size=ROWS)
    score = 1 / (1 + np.exp(-first))
    label = (random.random(ROWS) < score).astype(int).astype(str)
    label[::50] = ""
    rest = random.random(ROWS) * (1 - score)
    classes = np.stack([score, rest, 1 - score - rest], axis=1)
    which = [random.choice(3, p=row / row.sum()) for row in classes]
    lines = (
        f"{a!r},{b!r},{p!r},{y},{q!r},{r!r},{k}\n"
        for a, b, p, y, q, r, k in zip(
            first.tolist(), second.tolist(), score.tolist(), label, *classes[:, 1:].T.tolist(), which,
            strict=True,
        )
    )  # fmt: skip
    path = tmp_path / "scored.csv"
    path.write_text("a,b,p,y,q,r,k\n" + "".join(lines))
    return path


def columns(path: Path, *names: str) -> list[np.ndarray]:
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    return [np.array([row[head.index(name)] for row in rows]) for name in names]


def test_scores_and_labels_are_the_table_that_the_api_counts(scored: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.profile"
    done("profile", "build", "--from", scored, "--columns", "a,b", "--scores", "p", "--labels", "y",
         "--label-age", "86400", "--out", out)  # fmt: skip
    found = ScoreTable.from_profile(out)
    score, label = columns(scored, "p", "y")
    known = label != ""
    expected = ScoreTable(label_age_s=86_400)
    numbers = score[known].astype(float)
    expected.update(numbers, numbers >= 0.5, label[known].astype(int))
    assert found is not None
    assert found.to_json() == expected.to_json()
    assert found.rows == ROWS - ROWS // 50
    assert performance.realised(found).accuracy == pytest.approx(0.66, abs=0.05)
    assert {name: feature["direction"] for name, feature in shown(out).items()} == {
        "a": "input", "b": "input", "p": "output"
    }  # fmt: skip


def test_a_label_is_no_feature(scored: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.profile"
    done("profile", "build", "--from", scored, "--scores", "p", "--labels", "y", "--out", out)
    assert sorted(shown(out)) == ["a", "b", "k", "p", "q", "r"]


def test_a_score_per_class_is_one_output_with_its_class(scored: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.profile"
    done("profile", "build", "--from", scored, "--columns", "a", "--scores", "p,q,r", "--labels", "k",
         "--scores-tensor", "probabilities", "--out", out)  # fmt: skip
    names = [f"probabilities{part}" for part in (".class", ".score", "[0]", "[1]", "[2]")]
    assert sorted(shown(out)) == ["a", *names]
    found = ScoreTable.from_profile(out)
    p, q, r, k = columns(scored, "p", "q", "r", "k")
    table = np.stack([p, q, r], axis=1).astype(float)
    expected = ScoreTable(3)
    expected.update(table, table.argmax(axis=1), k.astype(int))
    assert found is not None
    assert found.to_json() == expected.to_json()


def test_two_columns_of_scores_are_the_positive_class_and_the_other(scored: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.profile"
    done("profile", "build", "--from", scored, "--columns", "a", "--scores", "q,p", "--labels", "y",
         "--scores-tensor", "t", "--out", out)  # fmt: skip
    found = ScoreTable.from_profile(out)
    q, p, label = columns(scored, "q", "p", "y")
    known = label != ""
    numbers = p[known].astype(float)
    expected = ScoreTable()
    expected.update(numbers, numbers > q[known].astype(float), label[known].astype(int))
    assert found is not None
    assert found.to_json() == expected.to_json()


def test_a_joint_map_is_the_one_that_the_api_learns(scored: Path, tmp_path: Path) -> None:
    plain, joint = tmp_path / "plain.profile", tmp_path / "joint.profile"
    build = ["profile", "build", "--from", scored, "--columns", "a,b", "--tensor", "x", "--model", "m"]
    done(*build, "--out", plain)
    done(*build, "--joint", "--scores", "p", "--labels", "y", "--out", joint)
    sections = json.loads(done("profile", "show", joint, "--json"))["sections"]
    assert sorted(sections) == ["joint", "scores"]
    into_profile(plain, "x", np.stack(columns(scored, "a", "b"), axis=1).astype(float))
    of_both = shown(joint)
    assert of_both.pop("p")["direction"] == "output"
    assert of_both == shown(plain)
    assert "x.pair(x[0], x[1])" in of_both


def test_a_joint_map_leaves_what_else_is_known_of_the_model(scored: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.profile"
    build = ["profile", "build", "--from", scored, "--columns", "a,b", "--tensor", "x"]
    done(*build, "--scores", "p", "--labels", "y", "--out", out)
    before = ScoreTable.from_profile(out)
    into_profile(out, "x", np.stack(columns(scored, "a", "b"), axis=1).astype(float))
    after = ScoreTable.from_profile(out)
    assert before is not None
    assert after is not None
    assert after.to_json() == before.to_json()


def test_an_embedding_is_watched_as_a_whole_from_the_first_row_on(tmp_path: Path) -> None:
    random, out = np.random.default_rng(1), tmp_path / "e.profile"
    np.save(tmp_path / "vectors.npy", random.normal(size=(4_000, 24)))
    done("profile", "build", "--from", tmp_path / "vectors.npy", "--tensor", "e", "--embedding", "--out", out)
    assert all(name.startswith("e.fourier") for name in shown(out))
    environ = {"PILOTFISH_MONITOR": "{pane_rows: 200, tensors: {e: {kind: embedding}}}"}
    settings = load(None, environ, {"upstream": "a:1"})
    engine = _core.Engine(settings.engine_configuration(), {"v1": out.read_bytes()}, 0)

    def send(scale: float, calls: int) -> list[str]:
        for call in range(calls):
            request = infer_request("m", {"e": random.normal(size=(50, 24)) * scale})
            decision = engine.decide(MODEL_INFER, (), call)
            engine.observe(decision, 0, 1, 1, call, request, None, len(request), 0)
        assert engine.flush(10.0)
        return [alarm["method"] for alarm in json.loads(engine.alarms(0))]

    assert send(1.0, 60) == []
    assert set(send(1.5, 40)) == {"edetector"}
    engine.close()


def test_parts_with_scores_add_up(scored: Path, tmp_path: Path) -> None:
    head, *lines = scored.read_text().splitlines(keepends=True)
    halves = [tmp_path / "first.csv", tmp_path / "second.csv"]
    for half, rows in zip(halves, (lines[:1_000], lines[1_000:]), strict=True):
        half.write_text(head + "".join(rows))
    build = ["profile", "build", "--scores", "p", "--labels", "y", "--columns", "a"]
    parts = [tmp_path / "first.profile", tmp_path / "second.profile"]
    done(*build, "--from", halves[0], "--out", parts[0], "--model", "m")
    done(*build, "--from", halves[1], "--out", parts[1], "--edges-from", parts[0])
    done("profile", "merge", *parts, "--out", tmp_path / "sum.profile")
    done(*build, "--from", scored, "--out", tmp_path / "whole.profile", "--edges-from", parts[0])
    found, whole = (ScoreTable.from_profile(tmp_path / f"{name}.profile") for name in ("sum", "whole"))
    assert found is not None
    assert whole is not None
    assert found.to_json() == whole.to_json()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--scores", "p"], "each needs the other"),
        (["--labels", "y"], "each needs the other"),
        (["--label-age", "60"], "belong to --scores and --labels"),
        (["--scores", "p", "--labels", "p"], "is one of --scores"),
        (["--scores", "p,q", "--labels", "y"], "name it with --scores-tensor"),
        (["--scores", "p", "--labels", "k"], "--labels k: holds 2; write 0 or 1"),
        (["--scores", "a", "--labels", "nothing"], "has no column 'nothing'"),
        (["--joint"], "name it with --tensor"),
        (["--embedding"], "name it with --tensor"),
        (["--embedding", "--joint", "--tensor", "x"], "give one"),
        (["--joint", "--tensor", "x", "--direction", "output"], "the columns of an input"),
    ],
)
def test_options_that_do_not_go_together_say_why(
    scored: Path, tmp_path: Path, options: list[str], told: str
) -> None:
    out = tmp_path / "m.profile"
    refused = pilotfish("profile", "build", "--from", scored, "--out", out, *options)
    (line,) = refused.stderr.splitlines()
    assert refused.exit_code in (1, 2)
    assert told in line
    assert not out.exists()


def test_scores_that_are_no_probabilities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "logits.csv"
    path.write_text("a,p,y\n1,-3.5,0\n2,4.5,1\n")
    line = refusal(
        "profile", "build", "--from", path, "--scores", "p", "--labels", "y", "--out", tmp_path / "m"
    )
    assert "scores are probabilities" in line
