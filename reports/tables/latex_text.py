"""Escapes text for pdflatex, because titles, tables and captions contain names that users chose."""

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
    # LaTeX would read a bracket or star at the start of a row as an option of the line break before it.
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
_UNKNOWN_LETTERS = "ĦħĸĿŀŉŦŧſ"  # letters of Latin-1 and Latin Extended-A that pdflatex lacks


def escape(text: str) -> str:
    """Return a text as LaTeX that pdflatex can typeset in paragraphs, heads and captions.

    A letter loses the accents that pdflatex cannot show. Any other character that it cannot show becomes its code point, such as "U+4E2D".

    Args:
        text: The plain text.

    Returns:
        The text as LaTeX.
    """
    previous, escaped = "", []
    for character in unicodedata.normalize("NFC", text):
        # LaTeX would turn two hyphens, commas or apostrophes into one sign.
        escaped.append(("{}" if character == previous and character in "-,'" else "") + _escaped(character))
        previous = character
    return "".join(escaped)


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
