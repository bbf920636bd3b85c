"""Escaping of any text for pdflatex, because names from users occur in titles, tables and captions."""

from __future__ import annotations

import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    # A bracket or star that begins a row would be taken for an option of the line break before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "«": "''",
    "»": "''",
    "§": r"\S{}",
    "©": r"\copyright{}",
    "®": r"\textregistered{}",
    "™": r"\texttrademark{}",
    "€": r"\texteuro{}",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "…": r"\ldots{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "÷": r"$\div$",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "°": r"$^{\circ}$",
    "²": "$^{2}$",
    "³": "$^{3}$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "∞": r"$\infty$",
    "µ": r"$\mu$",
    "†": r"$\dagger$",
    "\u00a0": "~",
    "\u202f": r"\,",
} | {
    letter: rf"$\{name}$"
    for letter, name in zip(
        "αβγδεζηθκλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Phi",
            "Psi",
            "Omega",
        ],
        strict=True,
    )
}
_UNKNOWN_LETTERS = "ĦħĸĿŀŉŦŧſ"  # of Latin-1 and Latin Extended-A, letters that pdflatex lacks


def escape(text: str) -> str:
    """Return text as LaTeX that pdflatex can typeset in text, heads and captions.

    A letter with accents that it lacks loses them; what it cannot show at all is named by its code point, as in "U+4E2D".
    """
    plain, before, shown = unicodedata.normalize("NFC", text), "", []
    for character in plain:
        # LaTeX makes one sign of two hyphens, commas or apostrophes.
        shown.append(("{}" if character == before and character in "-,'" else "") + _escaped(character))
        before = character
    return "".join(shown)


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isspace():
        return " "
    if " " <= character <= "~" or (
        "¡" <= character <= "ž" and character not in _UNKNOWN_LETTERS and character.isalpha()
    ):
        return character
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if " " <= c <= "~")
    return "".join(map(_escaped, plain)) or f"U+{ord(character):04X}"
