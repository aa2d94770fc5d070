"""What `import roci` offers, and that nothing is imported before it is touched."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import roci

TREE = ast.parse(Path(roci.__file__).read_text())


def test_every_public_name_can_be_had_from_where_it_lives() -> None:
    for name in roci.__all__:
        assert getattr(roci, name).__module__.startswith("roci") or name == "ModelSelector", name


def test_what_type_checkers_see_is_what_there_is() -> None:
    blocks = [node for node in TREE.body if isinstance(node, ast.If)]
    typed = {
        (alias.asname, node.module)
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert typed == set(roci._HOMES.items())


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    assert not hasattr(roci, "generate_txet")
    assert set(roci.__all__) <= set(dir(roci))


def test_importing_roci_imports_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import roci; "
        "print([name for name in sys.modules if name not in before and not name.startswith('roci')])"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


def test_the_main_names_need_httpx2_and_msgspec_alone() -> None:
    script = (
        "import sys, httpx2, msgspec; before = set(sys.modules); import roci; roci.generate_text; roci.stream_text; "
        "roci.LmStudioProvider; roci.ModelMessage; roci.RociConfig; from importlib import util; "
        "names = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(name for name in names if name not in sys.stdlib_module_names))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "['roci']"
