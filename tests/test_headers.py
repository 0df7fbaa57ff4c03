"""The reader and the writer of FITS headers against astropy, on thousands of generated headers."""

import io
import random
import re
import string

import numpy as np
import pytest
from astropy.io import fits

from badpix_selfcal.headers import (
    BLOCK,
    CARD,
    END,
    card,
    data_size,
    image_cards,
    long_card,
    parse,
    read_cards,
    read_hdus,
    read_primary,
)
from badpix_selfcal.program import Fault

PRINTABLE = "".join(chr(i) for i in range(32, 127))
KEYWORD = string.ascii_uppercase + string.digits + "_-"
# As people and programs write them; D and lower case, too.
NUMBERS = (
    *("0", "1", "-1", "+7", "007", "-0", "12345678901234567890", "15"),
    *("1.", "-.5", ".5E+02", "1.5D3", "1.5d3", "-2.D-3", "1E5", "1e-5", "1e400", "-0.0", "1D3"),
)


def text(rng, n, letters=PRINTABLE):
    return "".join(rng.choices(letters, k=n))


def some_text(rng):
    """Return a text of any length, and of letters that are hard to read."""
    letters = rng.choice([PRINTABLE, "' ", "' &/a", "ab ", "&' ", "a&"])
    found = text(
        rng, rng.choice([0, 1, 7, 8, 9, 18, 60, 66, 67, 68, 69, 70, 134, 136, 300]), letters
    )
    # Where it continues a text, astropy may cut a doubled quote in two.
    return found if len(found) + found.count("'") < 66 else found.replace("'", "-")


def some_value(rng):
    kinds = (
        lambda: some_text(rng),
        lambda: rng.choice([0, -1, rng.randrange(-(10**18), 10**18)]),
        # Of as many digits as astropy writes.
        lambda: rng.choice(
            [0.0, -0.0, 15.0, float(f"{rng.uniform(-1, 1):.9f}e{rng.randint(-30, 30)}")]
        ),
        lambda: rng.random() < 0.5,
        lambda: None,
    )
    return rng.choice([*kinds, kinds[0]])()


def some_card(rng):
    """Return the bytes of a card or of a continued text, in free and in fixed format."""

    def quoted(n, ampersand=""):
        return "'" + text(rng, rng.randint(0, n), "ab/(.= &") + ampersand + "'"

    def full(card):
        return card[:CARD].ljust(CARD)

    def comment():
        return rng.choice(["", " / " + text(rng, 9), "/" + text(rng, 9, "a b")])

    keyword = text(rng, rng.randint(1, 8), rng.choice([KEYWORD, KEYWORD.lower() + KEYWORD]))
    field = rng.choice([rng.choice(NUMBERS), "T", "F", "", quoted(40, "x")])
    field = rng.choice([field, field.rjust(20), " " * rng.randint(0, 5) + field + "  "])
    kind = rng.randrange(10)
    if kind < 6:
        cards = [full(f"{keyword:8}= {field}{comment()}")]
    elif kind == 6:
        n = rng.randint(1, 4)
        parts = [quoted(50, "&" if i < n else "x") for i in range(n + 1)]
        cards = [full(f"{keyword:8}= {parts[0]}{comment()}")]
        cards += [full(f"CONTINUE  {part}{comment()}") for part in parts[1:]]
    elif kind == 7:
        cards = [full(f"HIERARCH ESO {keyword} X = {field}")]
    elif kind == 8:
        commentary = rng.choice(["COMMENT", "HISTORY", ""])
        cards = [full(f"{commentary:8}{rng.choice([' ', '= '])}{quoted(30)}")]
    else:
        cards = [full(f"{keyword:8}  {field}")]  # no =, no value
    return "".join(cards).encode("ascii")


def cards_of(content):
    return [content[i : i + CARD] for i in range(0, len(content), CARD)]


def typed(value):
    """Return a value with its type, and with the sign of a zero."""
    value = None if isinstance(value, fits.card.Undefined) else value
    return type(value).__name__, repr(value)


def by_astropy(content):
    """Return the values and comments that astropy finds, of keywords that have one."""
    found = {}
    for read in fits.Header.fromstring(content).cards:
        commentary = read.image[8:10] != "= " or read.keyword in ("COMMENT", "HISTORY", "")
        if not commentary and read.keyword.upper() not in found:
            found[read.keyword.upper()] = typed(read.value), read.comment.strip()
    return found


@pytest.mark.filterwarnings("ignore")  # astropy's, of comments that are cut
@pytest.mark.parametrize("seed", range(4))
def test_what_astropy_writes_comes_back(seed):
    """Any text, of which astropy's own reader loses some: after a quote, or with & at its end."""
    rng = random.Random(seed)
    for _ in range(400):
        header, expected = fits.Header(), {}
        for i in range(rng.randint(1, 60)):
            value, comment = some_value(rng), text(rng, rng.choice([0, 5, 40]), "a b.'")
            keyword = f"K{i}" if rng.random() < 0.8 else f"HIERARCH ESO K{i}"
            header.append((keyword, value, comment), end=True)
            if keyword == f"K{i}":
                expected[keyword] = typed(value.rstrip() if isinstance(value, str) else value)
        content = header.tostring(padding=False, endcard=False)
        values, _ = parse(cards_of(content.encode("ascii")))
        assert {keyword: typed(value) for keyword, value in values.items()} == expected


@pytest.mark.filterwarnings("ignore")  # astropy's, of cards that are not quite standard
@pytest.mark.parametrize("seed", range(4))
def test_cards_are_read_as_astropy_reads_them(seed):
    """Values with their types, and comments, of cards as other programs may write them."""
    rng = random.Random(100 + seed)
    for _ in range(400):
        content = b"".join(some_card(rng) for _ in range(rng.randint(1, 30)))
        values, comments = parse(cards_of(content))
        found = {k: (typed(value), comments[k]) for k, value in values.items()}
        assert found == by_astropy(content), content


@pytest.mark.parametrize(
    ("card", "value", "comment"),
    [
        ("K       = 'it''s'  / it''s", "it's", "it''s"),
        ("K       = 'a''/b' / c", "a'/b", "c"),
        ("K       = '' / empty", "", "empty"),
        ("K       = '   '", "", ""),
        ("K       = ' a  '", " a", ""),
        ("K       = 'a&'", "a&", ""),
        ("K       =", None, ""),
        ("K       = / none", None, "none"),
        ("K       = (1.0, 2.0)", "(1.0, 2.0)", ""),
        ("K       = 1_000", "1_000", ""),
        ("K       = NaN", "NaN", ""),
        ("K       = 1D3", 1000.0, ""),
        ("k       = T", True, ""),
    ],
)
def test_a_card(card, value, comment):
    values, comments = parse([card.ljust(CARD).encode()])
    assert typed(values["K"]) == typed(value)
    assert comments["K"] == comment


def test_the_first_of_equal_keywords_counts():
    cards = ["A       = 'x&'", "CONTINUE  'y'", "A       = 'p&'", "CONTINUE  'q'", "CONTINUE  'r'"]
    values, _ = parse([card.ljust(CARD).encode() for card in cards])
    assert values == {"A": "xy"}


@pytest.mark.parametrize("n", [0, 1, 34, 35, 36, 37, 71, 72, 500])
def test_headers_over_many_blocks_end_where_astropy_has_it(tmp_path, n):
    header = fits.Header([(f"K{i}", i) for i in range(n)])
    image = fits.ImageHDU(data=None, header=header, name="second")
    primary = fits.PrimaryHDU(header=header)
    fits.HDUList([primary, image]).writeto(tmp_path / "x.fits")
    hdus = read_hdus(tmp_path / "x.fits")
    with fits.open(tmp_path / "x.fits") as expected:
        for hdu, other in zip(hdus, expected, strict=True):
            assert hdu.start == other.fileinfo()["datLoc"]
            assert {k: typed(v) for k, v in hdu.values.items()} == {
                k: typed(v) for k, v in other.header.items()
            }
    assert hdus[1].name == "SECOND"
    assert read_primary(tmp_path / "x.fits").values == hdus[0].values


def test_a_header_that_breaks_off_is_none():
    cards = b"".join(f"K{i:<7}= {i}".ljust(CARD).encode() for i in range(40))
    assert read_cards(io.BytesIO(cards.ljust(2 * BLOCK))) is None
    assert read_cards(io.BytesIO((cards + END)[: 2 * BLOCK - 1])) is None
    assert len(read_cards(io.BytesIO((cards + END).ljust(2 * BLOCK)))) == 40


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("BITPIX", "'x'"), ("NAXIS", "-1"), ("NAXIS", "1000"), ("NAXIS1", "-5"), ("NAXIS1", "2.0")],
)
def test_a_header_of_no_size_is_a_fault(tmp_path, keyword, value):
    cards = {"SIMPLE": "T", "BITPIX": "8", "NAXIS": "1", "NAXIS1": "4", keyword: value}
    content = b"".join(f"{k:8}= {v:>20}".ljust(CARD).encode() for k, v in cards.items()) + END
    (tmp_path / "x.fits").write_bytes(content.ljust(2 * BLOCK))
    for read in (read_hdus, read_primary):
        with pytest.raises(Fault, match=r"x\.fits: not a readable FITS file \(.*; fetch it again"):
            read(tmp_path / "x.fits")


def test_the_size_of_the_data_is_that_of_the_standard():
    """With what follows a table's rows, and with groups."""

    def size(**more):
        return data_size({"BITPIX": -32, "NAXIS": 2, "NAXIS1": 100, "NAXIS2": 30, **more})

    assert size() == 12000 + 2400
    assert size(PCOUNT=600) == 14400
    assert size(PCOUNT=601) == 14400 + BLOCK
    assert size(GCOUNT=2) == 24000 + 1920
    assert size(NAXIS=0) == 0
    assert size(NAXIS2=0) == 0


def test_what_follows_the_last_part_of_a_file_is_refused(tmp_path):
    """It may be an extension whose first card is destroyed."""
    fits.PrimaryHDU(data=np.ones((3, 4), np.float32)).writeto(tmp_path / "x.fits")
    with open(tmp_path / "x.fits", "ab") as file:
        file.write(b"notes of an archive")
    with pytest.raises(Fault, match="no FITS extension at byte 5760"):
        read_hdus(tmp_path / "x.fits")


@pytest.mark.parametrize("value", ["", "it's", "'", "a&", "n" * 68, 0, -(10**18)])
def test_a_written_card_is_read_by_astropy(value):
    raw = card("KEY", value, "a comment that may be cut")
    assert len(raw) == CARD
    assert fits.Card.fromstring(raw).value == value
    assert parse([raw])[0] == {"KEY": value}


def test_a_text_that_fits_no_card_is_a_fault():
    for value in ("n" * 69, "'" * 35):
        with pytest.raises(Fault, match="too long for the FITS card KEY; use a shorter name"):
            card("KEY", value, "")


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_astropy_reads(seed):
    """Texts of any length, which go on in other cards, truths and numbers; and all comments."""
    rng = random.Random(200 + seed)
    for _ in range(400):
        cards, expected = [], {}
        for i in range(rng.randint(1, 30)):
            value = some_value(rng)
            value = i if value is None else value
            if isinstance(value, str):
                # An & at the end says that a text goes on; so it does to astropy's own reader.
                value = value.replace("-", rng.choice("-'")).rstrip("& ")
            comment = text(rng, rng.choice([1, 5, 40]), "ab.")  # astropy is misled by a quote
            cards += long_card(f"K{i}", value, comment)
            expected[f"K{i}"] = value, comment
        assert all(len(raw) == CARD for raw in cards)
        values, comments = parse(cards)
        found = fits.Header.fromstring(b"".join(cards))
        assert list(values) == list(expected)
        for keyword, (value, comment) in expected.items():
            assert typed(values[keyword]) == typed(value)
            whole = isinstance(value, str) or len(comment) < 40
            assert comments[keyword] == comment if whole else comment.startswith(comments[keyword])
            if not re.search("' */", str(value)):  # which astropy takes for the end of the text
                assert typed(found[keyword]) == typed(value)
                assert found.comments[keyword] == comments[keyword]


@pytest.mark.parametrize("value", [1 / 3, -2e-7 / 3, 1e15 / 3, 1e16, 1.5e300, 0.1 + 0.2])
def test_a_number_is_written_with_15_digits(value):
    raw = card("KEY", value, "")
    assert fits.Card.fromstring(raw).value == float(f"{value:.14e}")
    assert parse([raw])[0] == {"KEY": float(f"{value:.14e}")}


def test_what_fits_has_no_letter_for_is_a_question_mark():
    raw, more = long_card("KEY", "é\n" * 33 + "x", "µm")
    assert fits.Card.fromstring(raw + more).value == "??" * 33 + "x"
    assert parse([raw, more]) == ({"KEY": "??" * 33 + "x"}, {"KEY": "?m"})


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("shape", [(), (3, 5)])
def test_a_header_begins_as_the_standard_has_it(shape, first):
    cards = image_cards(-32, shape, first)
    header = fits.Header.fromstring(b"".join(cards))
    hdu = fits.PrimaryHDU(header=header) if first else fits.ImageHDU(header=header)
    hdu.verify("exception")
    assert [header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"])] == list(reversed(shape))
