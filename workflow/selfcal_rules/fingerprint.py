"""The content hash of a program: what of its source can change what it computes."""

import ast
import functools
import hashlib
import os

from badpix_selfcal import parameters

PACKAGE = "badpix_selfcal"
# What says, reads command lines or is handed to programs as values, and computes nothing.
SILENT = {"program", "version", "parameters"}
OF_A_VERSION = {"ctx", "kind", "type_comment", "type_params"}  # no part of what is computed
SAYS = {"log", "warn"}  # functions whose calls are messages


def fingerprint(scripts, program):
    """
    Hash what a program computes: its own definitions and those that it uses of the shared package.

    What ``main`` reaches counts. Comments, docstrings, messages, command lines with their help
    texts and the version do not; the cards of its stage's parameters do.

    Parameters
    ----------
    scripts : str
        The folder of the programs' rooms.
    program : str
        Its room and name, such as ``stages/median``.

    Returns
    -------
    digest : str
        12 hexadecimal digits.
    """
    found = {}
    pending = [(os.path.join(scripts, f"{program}.py"), "main")]
    while pending:
        path, name = pending.pop()
        if (path, name) in found or not os.path.exists(path):
            continue
        definitions, imported, always = read_module(path)
        for key in (*definitions, *always) if name == "*" else (name, *always):
            if key in definitions and (path, key) not in found:
                text, uses = definitions[key]
                found[path, key] = text
                pending += [(path, use) for use in uses if use in definitions]
                for use in uses & imported.keys():
                    module, original = imported[use]
                    pending.append((os.path.join(scripts, *module.split(".")) + ".py", original))
    texts = sorted((os.path.relpath(path, scripts), key, t) for (path, key), t in found.items())
    cards = [(p.name, p.card) for p in parameters.of_stage(program.rpartition("/")[2])]
    return hashlib.sha256(repr((texts, cards)).encode()).hexdigest()[:12]


@functools.cache
def read_module(path):
    """
    Read the definitions of a module.

    Returns
    -------
    definitions : dict of str to (tuple of str, frozenset)
        The hash of each definition at the module's top, and the names that it uses; a statement
        that defines nothing has a key of its own.
    imported : dict of str to (str, str)
        The module and the name there of what is imported from the shared package.
    always : tuple of str
        The keys of the statements that define nothing: they run when the module is imported.
    """
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    definitions, imported, always, imports = {}, {}, [], []
    for i, node in enumerate(node for node in tree.body if not says(node)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
            continue
        names = defined(node)
        if not names:
            names = [f"statement {i}"]
            always += names
        uses = set()
        text = hashlib.sha256(repr(dump(node, uses, imports)).encode()).hexdigest()
        for name in names:  # which may be defined twice
            texts, others = definitions.get(name, ((), frozenset()))
            definitions[name] = (*texts, text), others | uses
    for node in imports:  # those within functions, too
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                whole = node.module == PACKAGE  # a module of it, all of whose definitions count
                module = f"{PACKAGE}.{alias.name}" if whole else node.module
                if module.split(".")[-1] not in SILENT:
                    imported[alias.asname or alias.name] = module, "*" if whole else alias.name
    return definitions, imported, tuple(always)


def defined(node):
    """List the names that a statement at a module's top defines; a change of an object has none."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    parts = [n for target in targets for n in ast.walk(target)]
    changed = any(isinstance(n, ast.Attribute | ast.Subscript) for n in parts)
    return [] if changed else [n.id for n in parts if isinstance(n, ast.Name)]


def says(node):
    """Tell whether a statement is for people alone: a docstring, a message."""
    if not isinstance(node, ast.Expr):
        return False
    called = node.value.func if isinstance(node.value, ast.Call) else None
    return isinstance(node.value, ast.Constant) or getattr(called, "id", None) in SAYS


def dump(node, uses, imports):
    """
    Return a syntax tree as nested tuples, the same for every version of Python.

    What only people read is left out: docstrings, messages, the texts of faults. All in one pass,
    as every command and every job on a cluster waits for it.

    Parameters
    ----------
    node : ast.AST, list, or the value of a field
    uses : set of str
        To which the names in it are added.
    imports : list of ast.Import or ast.ImportFrom
        To which those in it are added.
    """
    kind = node.__class__
    if kind is list:
        return tuple([dump(item, uses, imports) for item in node if not says(item)])
    if not isinstance(node, ast.AST):
        return repr(node)
    if kind is ast.Name:
        uses.add(node.id)
    elif kind is ast.ImportFrom:
        imports.append(node)
    fields = fields_of(kind)
    if kind is ast.Call and getattr(node.func, "id", None) == "Fault":
        fields = tuple(name for name in fields if name != "args")
    parts = [(name, dump(getattr(node, name), uses, imports)) for name in fields]
    return kind.__name__, tuple(parts)


@functools.cache
def fields_of(kind):
    """Return the names of the fields of a syntax tree's node that tell what is computed."""
    return tuple(name for name in kind._fields if name not in OF_A_VERSION)
