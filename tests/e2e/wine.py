"""The wine model as MLServer loads it: run in MLServer's environment, with its scikit-learn.

Usage: python wine.py DIRECTORY
"""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(directory: Path) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    joblib.dump(model.fit(*load_wine(return_X_y=True)), directory / "model.joblib")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
