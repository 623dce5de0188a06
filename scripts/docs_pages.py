"""A hook of MkDocs: pages of the site that stand outside docs/, in one place each. README.md is the first page."""

from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README": "index", "CHANGELOG": "changelog", "CONTRIBUTING": "contributing", "SECURITY": "security"}


def on_files(files, config):
    """Add the pages, with links as seen from docs/."""
    for name, page in PAGES.items():
        text = (ROOT / f"{name}.md").read_text().replace("](docs/", "](")
        files.append(File.generated(config, f"{page}.md", content=text))
    return files
