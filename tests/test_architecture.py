"""The layers: imports go down only, and there are no cycles."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# From the bottom up; a module may import those of its own layer and of the layers before it.
LAYERS = (
    {"conf", "errors", "version", "logs", "scoreboard", "tasks", "notices"},
    {"events", "pricing", "metrics"},
    {"sse", "state", "endings", "params", "exposition", "eventlog.record"},
    {"providers.base", "eventlog.base", "providers.decoder", "providers.breaker", "providers.connections"},
    {"eventlog.redis_scripts", "eventlog.redis_checks", "eventlog.redis_room", "eventlog.waiters"},
    {"providers.http", "providers.catalogue", "providers.wire", "providers.completions", "providers.servers"},
    {"providers.demo_pages", "providers.demo", "providers.openai", "providers.anthropic", "providers.compatible"},
    {"providers.registry", "eventlog.tails", "models"},
    {
        "store",
        "eventlog.stored",
        "eventlog.pages",
        "sealing",
        "lease",
        "ledger",
        "pricelist",
        "limits",
        "allowances",
        "claims",
        "inserts",
        "cancels",
        "queued",
        "snapshots",
        "usage",
        "context",
        "keys",
        "adoption",
        "eventlog.database",
        "eventlog.kept",
        "eventlog.redis_link",
        "eventlog.redis_logs",
        "eventlog.redis_following",
        "eventlog.redis_starts",
        "eventlog.redis",
        "retention",
        "conversations",
        "reconciliation",
    },
    {"producer", "reader", "sweeper", "journal", "queue", "revocations", "resumes"},
    {"production", "readership"},
    {"starts"},
    {"worker"},
    {"engine"},
    {
        "identity",
        "openapi",
        "addresses",
        "bodies",
        "telemetry",
        "responses",
        "middleware",
        "checks",
        "deploy_checks",
        "apps",
        "lifecycle",
    },
    {"views", "api", "probes", "application", "templatetags.money"},
    {"admin.base", "admin.filters", "admin.spending", "admin.stream_actions"},
    {"admin.charts", "admin.live", "admin.timeline", "admin.costs"},
    {f"admin.{name}" for name in ("allowances", "conversations", "keys", "ledger", "processes", "streams")},
    {"admin"},
    {"urls", "asgi"},
)


MAGIC_LAYERS = (
    {"inputs", "errors", "libraries", "markdown", "sandbox"},
    {"values", "documents"},
    {"definitions", "worker"},
    {"messages"},
    {"models", "rendering", "estimates", "rules", "prompting"},
    {"library", "forgetting"},
    {"triage"},
    {"api", "triage_api", "triage_admin", "admin", "apps", "examples", "views"},
    {"urls"},
)

WORKERS = {"worker", "sandbox", "documents", "markdown"}
"""What runs in the processes that render."""


def _modules(package: str) -> dict[str, ast.Module]:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / package).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        if not name.startswith("migrations") and "management" not in name:
            found[name] = ast.parse(path.read_text())
    return found


def _imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
            names.add(node.module)
    return names


def _own(imports: set[str], known: set[str], package: str = "streaming") -> set[str]:
    inside = {name.removeprefix(f"{package}.") for name in imports if name.startswith(f"{package}.")}
    return inside & known


def _upward(package: str, layers: tuple[set[str], ...]) -> list[str]:
    rank = {name: number for number, layer in enumerate(layers) for name in layer}
    return [
        f"{name} imports {imported}"
        for name, tree in _modules(package).items()
        for imported in _own(_imports(tree), set(rank), package)
        if rank.get(name, 99) < rank[imported]
    ]


def test_every_module_has_its_layer() -> None:
    placed = set().union(*LAYERS)
    assert {
        name for name in _modules("streaming") if name not in {"", "providers", "eventlog", "templatetags"}
    } == placed
    assert _modules("magic").keys() - {""} == set().union(*MAGIC_LAYERS)


def test_imports_go_down_only() -> None:
    assert _upward("streaming", LAYERS) == []
    assert _upward("magic", MAGIC_LAYERS) == []


def test_what_renders_needs_nothing_of_the_server() -> None:
    modules = _modules("magic")
    for name in WORKERS:
        assert not any(imported.startswith(("django", "streaming")) for imported in _imports(modules[name])), name
        assert _own(_imports(modules[name]), set(modules), "magic") <= WORKERS


def test_there_are_no_cycles() -> None:
    modules = _modules("streaming")
    graph = {name: _own(_imports(tree), set(modules)) - {name} for name, tree in modules.items()}
    TopologicalSorter(graph).prepare()


def test_streaming_is_reusable_and_knows_nothing_of_the_rest() -> None:
    for name, tree in _modules("streaming").items():
        outside = {imported.split(".")[0] for imported in _imports(tree)} & {"magic", "config", "tests"}
        assert outside == set(), name


def test_one_place_speaks_http_to_providers() -> None:
    clients = {"httpx", "httpcore", "requests", "urllib3", "aiohttp", "http.client", "urllib.request"}
    users = {name for name, tree in _modules("streaming").items() if _imports(tree) & clients}
    assert users == {"providers.http", "providers.connections"}
