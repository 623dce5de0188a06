"""The validation curve of a training run as a Markdown table: python scripts/training_table.py RUN/log.jsonl"""

import argparse
import json
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    lines = [json.loads(line) for line in parser.parse_args().log.read_text().splitlines()]
    tables = [line for line in lines if "val" in line]
    qualities = [row["q"] for row in tables[0]["val"]]
    print("| minutes | steps | " + " | ".join(f"q = {q}" for q in qualities) + " |")
    print("|---|---|" + "---|" * len(qualities))
    for line in tables:
        cells = [f"{row['psnr']:.2f} @ {row['bpp']:.4f}" for row in line["val"]]
        print(f"| {line['minutes']:.0f} | {line['step']} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
