"""The charset names of the web and what they mean there (https://encoding.spec.whatwg.org), never Python's own."""

from __future__ import annotations

import codecs
import re

_FAMILIES = (
    (re.compile(r"(?:cs)?iso8859([1-8]|1[013-6])(?:e|i)?"), "iso8859_{}"),
    (re.compile(r"(?:windows|xcp|cp)(125[0-8]|874)"), "cp{}"),
    (re.compile(r"(?:iso|tis)885911|(?:dos|windows)874|tis620"), "cp874"),
)
_NAMES = {
    "utf_8": "utf8 unicode11utf8 unicode20utf8 xunicode20utf8",
    "utf_16_le": "utf16 utf16le ucs2 unicode iso10646ucs2 csunicode unicodefeff",
    "utf_16_be": "utf16be unicodefffe",
    "cp1252": "iso88591 ascii usascii ansix3.41968 latin1 l1 isoir100 csisolatin1 cp819 ibm819 iso88591:1987",
    "cp1254": "iso88599 latin5 l5 isoir148 csisolatin5 iso88599:1989",
    "iso8859_2": "latin2 l2 isoir101 csisolatin2 iso88592:1987",
    "gb18030": "gb18030 gbk gb2312 gb231280 xgbk chinese isoir58 csgb2312 csiso58gb231280",
    "big5hkscs": "big5 big5hkscs cnbig5 xxbig5 csbig5",
    "euc_jp": "eucjp xeucjp cseucpkdfmtjapanese",
    "iso2022_jp": "iso2022jp csiso2022jp",
    "cp932": "shiftjis sjis xsjis mskanji ms932 windows31j csshiftjis",
    "cp949": "euckr ksc56011987 ksc56011989 ksc5601 korean isoir149 windows949 cseuckr csksc56011987",
    "koi8_r": "koi8r koi8 koi cskoi8r",
    "koi8_u": "koi8u koi8ru",
    "cp866": "ibm866 cp866 866 csibm866",
    "mac_roman": "macintosh mac xmacroman csmacintosh",
    "mac_cyrillic": "xmaccyrillic xmacukrainian",
}
_CODECS = {label: codec for codec, labels in _NAMES.items() for label in labels.split()}
_MARKS = {codecs.BOM_UTF8: "utf_8_sig", codecs.BOM_UTF16_LE: "utf_16", codecs.BOM_UTF16_BE: "utf_16"}


def web_codec(label: str, content: bytes = b"") -> str | None:
    """Python's codec for what a server calls `label`, unless the content's byte order mark says another; else None."""
    for mark, codec in _MARKS.items():
        if content.startswith(mark):
            return codec
    name = re.sub(r"[-_]", "", label.strip().lower())
    if name in _CODECS:
        return _CODECS[name]
    matches = ((pattern.fullmatch(name), codec) for pattern, codec in _FAMILIES)
    return next((codec.format(*match.groups()) for match, codec in matches if match), None)
