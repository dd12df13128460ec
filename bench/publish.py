"""``python -m bench.publish``: put the results of the last run into docs/PERFORMANCE.md."""

from __future__ import annotations

from bench.environment import HERE, ROOT

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def main() -> None:
    """Replace what stands between the marks."""
    page = ROOT / "docs" / "PERFORMANCE.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    results = (HERE / "results" / "results.md").read_text().strip()
    page.write_text(f"{before}{BEGIN}\n\n{results}\n\n{END}{after}")


if __name__ == "__main__":
    main()
