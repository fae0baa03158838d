"""What of a foreign error's text may be shown: the words its author can have written, never a value.

An engine's conversion error quotes the value, and an exception of a table's own code can say anything. Which part
of such a text is a row's, nobody can tell; which part is not, can be: words of the code that raised it, and the
fixed words of Python's and DuckDB's own messages. Everything else is masked.
"""

from __future__ import annotations

import re

MASK = "***"
_TOKEN = re.compile(r"""'[^'\n]*'|"[^"\n]*"|\w+(?:\(\d+(?:, ?\d+)?\))?(?:\[\])*|\s+|.""", re.S)
_TYPE = re.compile(
    r"""U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?\d*|VARCHAR|DOUBLE|FLOAT|DECIMAL|DATE|TIME|TIMESTAMP(?:_\w+|TZ)?
    |BOOL(?:EAN)?|INTERVAL|UUID|JSON|BLOB|STRUCT|LIST|MAP|ENUM|NULL""",
    re.X,
)
_SPELT = re.compile(r"[A-Za-z]+")
_USUAL = """
a according addition an and any are argument arguments as at attribute available axis base be because been before
between both but by byte bytes call callable can cannot cast casting character codec codepoint column columns compare
concatenate conversion convert could date datetime day days dd decimal decode destination dict dictionary did
different digit dimension division does empty encode error exactly exist exists expected expecting failed failure
field file float for format found from function got greater has have hex hh hour in index infinite input instance
instances int integer interval into invalid is it item iterable iterate json key keys keyword large least length less
like list literal malformed many match matching max maximum method min minus missing mm module month months more
most multiple multiplication must naive name named names nan negative no none not null number numeric object of offset
on only operand operation operator or order out overflow parse pop position positional range recursion required result
row rows s same second sequence set shape should size slice some source specification specifier ss start str string
subscriptable subtraction supported t table takes than that the this time timestamp timezone to too tuple type types
unable unexpected unhashable unimplemented unknown unpack unrecognized unsupported up us utf validate value values was
were when while with without wrong year years yyyy zero zone
""".split()  # noqa: SIM905  a list of them would take a line each
_KINDS = "bool bytes date datetime dict float int list NoneType str tuple DataFrame Series Table".split()  # noqa: SIM905


def masked(text: str, code: str = "") -> str:
    """`text` in one line, with every word masked that stands neither in `code` nor among the usual words of messages.

    Args:
        code: the source text the message can have come from, and names that are no values.
    """
    known = set(re.findall(r"\w+", code))
    literals = {literal for pair in re.findall(r"""'([^'\n]*)'|"([^"\n]*)\"""", code) for literal in pair if literal}

    def shown(token: str) -> str:
        if token[0] in "'\"" and len(token) > 1:
            inner = token[1:-1]
            return (
                token
                if not inner or inner in literals or inner in known or inner in _KINDS
                else f"{token[0]}{MASK}{token[0]}"
            )
        word = token.partition("(")[0].rstrip("[]")
        if not re.fullmatch(r"\w+", word) or word in known or _TYPE.fullmatch(word):
            return token
        return token if _SPELT.fullmatch(word) and word.lower() in _USUAL else MASK

    line = "".join(shown(token) for token in _TOKEN.findall(" ".join(text.split())))
    # A value in pieces is one value.
    return re.sub(r"\*{3}(?:[^\w\s(),:;\"']*\*{3})+", MASK, line)
