"""Do dubs help? The paper's question on a corpus that anyone can make (README.md beside says what came out).

    python run.py main.toml --out counterfactual/                 everything, some hours; stop it when you like
    python run.py main.toml --out counterfactual/ --stages A      a part of the models
    python run.py main.toml --out counterfactual/ --list          what is there, what is missing

Every step knows what is there already: the same command goes on after a stop. Test films are looked at once, by the
heads; nothing is chosen by their scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from analyse import analysis, answer_in_words, models_of
from figures import difference_table, paper_table, score_table, write_figures
from materials import corpus_hash, make_corpora, prepare_all
from measure import embed_model, score_model, scores_file
from models import train_models
from predictions import prediction_table
from study import RANDOM, Model, Study, read_study

from dubcli.cli.console import make_progress
from dubcli.core.atomic import atomic_write, read_json_lines, write_json
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import Progress

STEPS = ("corpus", "prep", "train", "measure", "analyse")


def main() -> None:
    options = _arguments()
    study = read_study(options.plan, options.out)
    models = models_of(study, options.stages)
    progress = make_progress(quiet=options.quiet)
    if options.list:
        print(listing(study, models))
        return
    jobs = JobOptions(workers=options.jobs)
    if "corpus" in options.steps:
        make_corpora(study, models, jobs, progress)
        print(f"corpus {corpus_hash(study)}", flush=True)
    if "prep" in options.steps:
        prepare_all(study, models, jobs, progress)
    if "train" in options.steps:
        train_models(study, models, options.jobs, progress)
    if "measure" in options.steps:
        measure(study, models, progress)
    if "analyse" in options.steps:
        print(answer(study))


def measure(study: Study, models: list[Model], progress: Progress) -> None:
    """Features and scores of the models, then of their earlier epochs where the plan shows them."""
    for epoch in (None, *study.epochs_shown):
        for model in models:
            if epoch is not None and model.kind not in study.epoch_kinds:
                continue
            if scores_file(study, model, epoch).exists():
                continue
            if model.variant != RANDOM and not study.checkpoint(model, epoch).exists():
                continue  # it is not trained yet, or, of the supervised one, has no earlier epochs
            progress.message(f"measuring {model.name}{f', epoch {epoch}' if epoch else ''}")
            embed_model(study, model, epoch)
            score_model(study, model, epoch)


def answer(study: Study) -> str:
    """Write ``analysis.json``, the figures and ``tables.md``; return the answer."""
    found = analysis(study)
    write_json(study.out / "analysis.json", found)
    write_figures(found, study.out, steps_of_an_epoch(study))
    tables = "\n\n".join(
        [difference_table(found), difference_table(found, "transfer"), score_table(found),
         score_table(found, "transfer"), paper_table(found), prediction_table(found)]
    )  # fmt: skip
    with atomic_write(study.out / "tables.md", "w") as file:
        file.write(tables + "\n")
    missing = f"\n{len(found['missing'])} of {len(study.models)} models are missing" if found["missing"] else ""
    return f"{tables}\n\n{answer_in_words(found['answer'])}{missing}"


def steps_of_an_epoch(study: Study) -> float:
    """As the trained models' own records say: films that lack a dub are left out of all of them."""
    for model in study.models:
        records = read_json_lines(study.run(model) / "metrics.jsonl")
        for record in reversed(records):
            if record.get("epoch"):
                return float(record["step"] / record["epoch"])
    return 1.0


def listing(study: Study, models: list[Model]) -> str:
    """A line for each model."""
    lines = []
    for model in models:
        untrained = model.variant == RANDOM
        state = "measured" if scores_file(study, model).exists() else "to be measured"
        if not untrained and not study.checkpoint(model).exists():
            state = "begun" if (study.run(model) / "ckpt.pt").exists() else "to be trained"
        lines.append(f"{model.name}: {state}")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="main.toml, pilot.toml, small.toml or your own")
    parser.add_argument("--out", type=Path, default=Path("counterfactual"))
    parser.add_argument("--stages", type=lambda text: text.split(","), default=[], help="groups of models, by name")
    parser.add_argument("--steps", type=lambda text: text.split(","), default=list(STEPS), help=", ".join(STEPS))
    parser.add_argument("--jobs", type=int, default=2, help="processes; models trained at once, each on one thread")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
