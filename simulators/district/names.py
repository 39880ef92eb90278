"""Names, addresses and telephone numbers: first the clean value, then the shapes in which a database holds it.

Going from clean to messy is the whole point: the truth is known before the mess is made, and nothing here ever
has to clean a value. All persons are invented; the domain and the 555-01xx numbers are reserved for examples.
"""

from __future__ import annotations

import random
import unicodedata

DOMAIN = "bristlecone-usd.example"
OLD_DOMAIN = "old.bristlecone-usd.example"

FIRST_NAMES = (
    "Ana", "Ben", "Carla", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jamal", "Keiko", "Liam", "Maya",
    "Noah", "Olivia", "Priya", "Quentin", "Rosa", "Sam", "Tara", "Uma", "Victor", "Wendy", "Xavier", "Yara", "Zoe",
    "Mary Ann", "Jean Luc", "Ana Sofía", "José", "María José", "René", "Zoë", "Siobhán", "Łukasz", "Søren", "Thảo",
    "Ngọc", "François", "Iñaki", "Jürgen", "Åsa", "D'Andre", "Anne-Marie", "Li", "Gwendolyn", "Tomás", "Kateřina",
)  # fmt: skip
SHORT_NAMES = ("Bob", "Liz", "Chuck", "Peggy", "Nico", "Kat", "Tuấn", "Zé", "AJ", "Mary Jo", "Bea", "Gus")
LAST_NAMES = (
    "Abbott", "Baker", "Castillo", "Dang", "Edwards", "Flores", "Garcia", "Hughes", "Ibarra", "Johnson", "Kim",
    "Lopez", "Miller", "Nguyen", "Ortega", "Patel", "Quinn", "Ramirez", "Smith", "Torres", "Ueda", "Vargas", "Wong",
    "Xiong", "Young", "Zamora", "de la Cruz", "van der Berg", "von Stein", "del Río", "de los Santos", "Mac Donald",
    "O'Brien", "O\u2019Neill", "D'Angelo", "N'Diaye", "Núñez", "Müller", "Peña", "Đặng", "Łukasiewicz", "Håkansson",
    "Sánchez-Ortiz", "García Márquez", "St. John", "Brontë", "Çelik", "Öztürk", "Strauß", "Novák",
)  # fmt: skip
_LAST_ENDINGS = ("", "", "", "", "son", "er", "ez", "ley", "ton", "field")

AREA_CODES = ("209", "310", "415", "510", "530", "559", "619", "626", "650", "661", "707", "714", "760", "805", "916")

BAD_ADDRESSES = ("none", "{}@", "@{}", "{}.bristlecone-usd.example", "{} x@bristlecone-usd.example", "{}@nodomain")


def first_name(rng: random.Random) -> str:
    """Draw a clean given name."""
    return rng.choice(FIRST_NAMES)


def last_name(rng: random.Random) -> str:
    """Draw a clean family name; plain ones get an ending now and then so that a large district has variety."""
    name = rng.choice(LAST_NAMES)
    return name + rng.choice(_LAST_ENDINGS) if name.isascii() and name.isalpha() else name


def digits_of_phone(rng: random.Random) -> str:
    """Draw ten digits in a range that is reserved for fiction."""
    return f"{rng.choice(AREA_CODES)}5550{rng.randrange(100, 200)}"


def local_part(*, first: str, last: str) -> str:
    """The part of a mail address before the @: initial and family name in plain letters."""
    folded = unicodedata.normalize("NFKD", first[0] + last).lower()
    plain = "".join(letter for letter in folded if letter.isascii() and letter.isalnum())
    return plain or "staff"


def bad_address(rng: random.Random, local: str) -> str:
    """Spell an address that no mail server would take."""
    return rng.choice(BAD_ADDRESSES).format(local)


def messy_name(rng: random.Random, clean: str) -> tuple[str, str | None]:
    """Return the name as HR may hold it, and the kind of mess that was made (None when it was left alone)."""
    draw = rng.random()
    if draw < 0.04:
        return f" {clean}", "leading_blank"
    if draw < 0.08:
        return f"{clean}  ", "trailing_blank"
    if " " in clean and draw < 0.30:
        return clean.replace(" ", "  ", 1), "double_inner_blank"
    if " " in clean and draw < 0.36:
        return clean.replace(" ", "\u00a0", 1), "no_break_blank"
    decomposed = unicodedata.normalize("NFD", clean)
    if decomposed != clean and draw < 0.45:
        return decomposed, "decomposed_letters"
    return clean, None


def messy_address(rng: random.Random, clean: str) -> tuple[str, str | None]:
    """Return the address as a database may hold it, and the kind of mess."""
    draw = rng.random()
    if draw < 0.10:
        return clean.upper(), "upper_case_address"
    if draw < 0.15:
        return f"{clean}   ", "padded_address"
    if draw < 0.18:
        return f"  {clean[0].upper()}{clean[1:]}", "padded_address"
    return clean, None


def shaped_phone(rng: random.Random, digits: str) -> str:
    """Write ten digits in one of the shapes that people type."""
    area, office, line = digits[:3], digits[3:6], digits[6:]
    return rng.choice(
        (
            digits,
            f"({area}) {office}-{line}",
            f"({area}){office}-{line}",
            f"{area}-{office}-{line}",
            f"{area}.{office}.{line}",
            f"{area} {office} {line}",
            f" {area}-{office}-{line} ",
            f"1{digits}",
            f"1-{area}-{office}-{line}",
            f"+1 {area} {office} {line}",
            f"+1({area}){office}-{line}",
        )
    )


def useless_phone(rng: random.Random, digits: str) -> str:
    """Fill the telephone field with no usable number: the digits are not ten, nor eleven after a 1."""
    return rng.choice((digits[3:], f"{digits} x22", "N/A", "none", "+44 20 7946 0958", "ask office", f"2{digits}"))


def blank(rng: random.Random) -> str | None:
    """One of the three ways a database says nothing."""
    return rng.choice((None, "", "   "))
