"""Reading tables, and encoding their columns."""

from __future__ import annotations

import builtins
import gzip
import json

import numpy as np
import pandas as pd
import pytest

from marquardt.tables.columns import TableError, as_numbers, choose_columns, target_values
from marquardt.tables.encoder import CategoricalColumn, DroppedColumn, NumericColumn, TableEncoder
from marquardt.tables.reading import read_table, write_table

PLAIN = pd.DataFrame({"dose": [0.5, 1.5, 2.5], "salt": ["HCl", "Na", "HCl"], "answer": [1.0, 2.0, 4.0]})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".xlsx", ".parquet"])
def test_every_kind_of_file_comes_back(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_table(path, PLAIN)
    back = read_table(path)
    assert back.columns.tolist() == PLAIN.columns.tolist()
    assert back["dose"].tolist() == PLAIN["dose"].tolist()
    assert back["salt"].tolist() == PLAIN["salt"].tolist()


def test_compressed_csv(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n1,2\n"))
    assert read_table(path)["y"].tolist() == [2]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("x;y\n1,5;2\n2,5;3\n", [1.5, 2.5]),  # a European spreadsheet
        ("x\ty\n1.5\t2\n2.5\t3\n", [1.5, 2.5]),
        ("x|y\n1.5|2\n2.5|3\n", [1.5, 2.5]),
        ("\ufeffx,y\n1.5,2\n\n2.5,3\n", [1.5, 2.5]),  # byte-order mark, empty line
        (" x , y\n1.5, 2\n2.5, 3\n", [1.5, 2.5]),
        ('x,"a, b; c"\n1.5,2\n2.5,3\n', [1.5, 2.5]),
        ("x,y\n1.5,2\n?,3\n", [1.5, np.nan]),
        ("x,y,\n1.5,2,\n2.5,3,\n", [1.5, 2.5]),  # a trailing delimiter
    ],
)
def test_dialects_of_csv(tmp_path, content, expected):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    np.testing.assert_array_equal(read_table(path)["x"].to_numpy(float), expected)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_encodings_of_spreadsheets(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("µm,°C\n1,2\n".encode(encoding))
    assert read_table(path).columns.tolist() == ["µm", "°C"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "is empty: it needs a header line and rows"),
        ("a.csv", "x,y\n", "has no rows below its header line"),
        ("a.csv", "1.5,2.5\n3,4\n", "holds numbers ('1.5', '2.5'), not column names: add a header line"),
        ("a.csv", "x,y\n1,2\n3,4,5\n", "is no regular table (Expected 2 fields in line 3, saw 3)"),
        ("a.csv", "x,x \n1,2\n", "has two columns of the name 'x': rename one of them"),
        ("a.doc", "x,y\n1,2\n", "has no known table ending: rename or save it as one of .csv, "),
        ("a.xls", "x", "is in Excel's format of before 2007: save it as .xlsx or .csv"),
        ("a.xlsx", "x,y\n1,2\n", "is no Excel workbook that can be read"),
        ("a.parquet", "x,y\n1,2\n", "is no Parquet file that can be read"),
        ("a.csv.gz", "x,y\n1,2\n", "could not read"),
    ],
)
def test_files_that_are_no_table(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert message in str(caught.value)


def test_missing_file_suggests_a_neighbor(tmp_path):
    (tmp_path / "energy.csv").write_text("x,y\n1,2\n")
    with pytest.raises(
        TableError, match=r"there is no file .*: check the path \(did you mean 'energy.csv'\?\)"
    ):
        read_table(tmp_path / "enrgy.csv")
    with pytest.raises(TableError, match="is a folder: name a table in it"):
        read_table(tmp_path)


def test_sheets(tmp_path):
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as book:
        PLAIN.to_excel(book, sheet_name="raw", index=False)
        PLAIN.iloc[:1].to_excel(book, sheet_name="clean", index=False)
    assert len(read_table(path)) == 3
    assert len(read_table(path, sheet="clean")) == 1
    with pytest.raises(TableError, match=r"--sheet 'rwa' is not in .*: it has 'raw', 'clean'"):
        read_table(path, sheet="rwa")


@pytest.mark.parametrize(("name", "module"), [("a.xlsx", "openpyxl"), ("a.parquet", "pyarrow")])
def test_missing_extra_names_the_pip_command(tmp_path, monkeypatch, name, module):
    (tmp_path / name).write_text("x")
    real = builtins.__import__

    def without(wanted, *args, **kwargs):
        if wanted == module:
            raise ImportError(wanted)
        return real(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        TableError, match=rf'needs {module}: run `python -m pip install "marquardt\[tables\]"`'
    ):
        read_table(tmp_path / name)


def test_writing_to_an_unknown_kind_or_place(tmp_path):
    with pytest.raises(TableError, match=r"use the ending \.csv, \.tsv, \.xlsx or \.parquet"):
        write_table(tmp_path / "a.doc", PLAIN)
    with pytest.raises(TableError, match=r"Create the folder .* first, or choose another"):
        write_table(tmp_path / "no" / "a.csv", PLAIN)


# -- targets ---------------------------------------------------------------------------------------


def test_choosing_columns():
    frame = pd.DataFrame({"a": [1], "b,c": [2], "Heating Load": [3]})
    assert choose_columns(frame, "a, b,c".replace(", b,c", ""), "--target") == ("a",)
    assert choose_columns(frame, "b,c", "--target") == ("b,c",)  # a name with a comma in it
    assert choose_columns(frame, "a,Heating Load,a", "--target") == ("a", "Heating Load")
    with pytest.raises(
        TableError, match=r"--target 'heating_load' is no column; did you mean 'Heating Load'\?"
    ):
        choose_columns(frame, "heating_load", "--target")
    with pytest.raises(
        TableError, match="--target 'zzz' is no column; the columns are 'a', 'b,c', 'Heating Load'"
    ):
        choose_columns(frame, "zzz", "--target")
    with pytest.raises(TableError, match="--drop is empty: name a column, one of 'a'"):
        choose_columns(frame, " , ", "--drop")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["low", "high", "1.5"], "must be numbers, but 2 of 3 rows hold text ('low', 'high')"),
        (
            [1.5, "> 99", 3, 4, 5, 6, "n/d", 8, 9, 1],
            "2 of 10 rows hold text ('> 99' in row 2, 'n/d' in row 7): mend these cells, or leave them empty",
        ),
        ([1, 2, 3, 4, "<1"], "1 of 5 rows holds text ('<1' in row 5): mend these cells"),
        ([1.0, np.inf, 2.0], "is infinite in data row 2: mend that cell or leave it empty"),
        ([2.0, 2.0, 2.0], "is constant (2 in all 3 rows): nothing to learn; choose another target"),
        ([None, None, None], "no row has a value of the target 'y': check the table, or leave it out"),
    ],
)
def test_targets_that_cannot_be_fitted(values, message):
    with pytest.raises(TableError) as caught:
        target_values(pd.DataFrame({"y": values}), ["y"])
    assert message in str(caught.value)


def test_targets_with_gaps_and_decimal_commas():
    frame = pd.DataFrame({"y": ["1,5", None, "2.5"], "z": [1, 2, 3]})
    y, complete = target_values(frame, ["y", "z"])
    assert complete.tolist() == [True, True, True]
    np.testing.assert_array_equal(y, [[1.5, 1], [np.nan, 2], [2.5, 3]])
    assert target_values(frame, ["y"])[1].tolist() == [True, False, True]


# -- encoder ---------------------------------------------------------------------------------------


def test_numeric_columns_and_their_medians():
    frame = pd.DataFrame(
        {"x": [1.0, np.nan, 3.0, 10.0], "text": ["1", "2", "3", "4"], "flag": [True, False, True, True]}
    )
    encoder = TableEncoder.fit(frame)
    assert encoder.columns == (
        NumericColumn("x", 3.0),
        NumericColumn("text", 2.5),
        NumericColumn("flag", 1.0),
    )
    X, notes = encoder.encode(frame)
    np.testing.assert_array_equal(X, [[1, 1, 1], [3, 2, 0], [3, 3, 1], [10, 4, 1]])
    assert notes == ["'x': 1 value is missing, median 3 used instead"]


def test_stray_text_in_a_numeric_column_is_imputed_and_said():
    frame = pd.DataFrame({"x": ["1", "2", "3", "4", "5", "6", "7", "8", "<0.1", "8"]})
    _, notes = TableEncoder.fit(frame).encode(frame)
    assert notes == ["'x': 1 value is no number ('<0.1'), median 5 used instead"]


def test_categories():
    frame = pd.DataFrame({"salt": ["Na", "HCl", None, "HCl", "K"]})
    encoder = TableEncoder.fit(frame)
    assert encoder.columns == (CategoricalColumn("salt", ("HCl", "K", "Na"), "HCl"),)
    assert encoder.feature_names == ("salt=HCl", "salt=K", "salt=Na")
    X, notes = encoder.encode(frame)
    np.testing.assert_array_equal(X, [[0, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert notes == ["'salt': 1 value is missing, most frequent 'HCl' used instead"]
    X, notes = encoder.encode(pd.DataFrame({"salt": ["Li", "Li", "K"]}))
    np.testing.assert_array_equal(X, [[0, 0, 0], [0, 0, 0], [0, 1, 0]])
    assert notes == ["'salt': 2 values are not seen in training ('Li'), taken as none of them"]
    assert encoder.decisions() == ["'salt' is categorical: one input for each of 'HCl', 'K', 'Na'"]


def test_codes_are_the_same_category_as_whole_and_as_float():
    encoder = TableEncoder.fit(pd.DataFrame({"code": [1, 2, 3, 2]}), categorical=["code"])
    assert encoder.columns == (CategoricalColumn("code", ("1", "2", "3"), "2"),)
    np.testing.assert_array_equal(
        encoder.transform(pd.DataFrame({"code": [2.0, np.nan]})), [[0, 1, 0], [0, 1, 0]]
    )


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("x", [2.0] * 8, "constant (2)"),
        ("x", ["a"] * 8, "constant ('a')"),
        ("x", [None] * 8, "no value in any row"),
        ("x", list("abcdefgh"), "8 different texts in 8 rows, so a name or free text"),
        ("x", pd.date_range("2020-01-01", periods=8), "a date; to use it, give it as a number"),
        ("Unnamed: 0", range(8), "a column without name that only numbers the rows"),
    ],
)
def test_dropped_columns_are_said(name, values, reason):
    encoder = TableEncoder.fit(pd.DataFrame({"kept": range(8), name: values}))
    dropped = encoder.columns[1]
    assert isinstance(dropped, DroppedColumn) and dropped.reason.startswith(reason)
    assert encoder.decisions()[0].startswith(f"'{name}' dropped: {reason}")
    assert encoder.feature_names == ("kept",)


def test_encoder_errors():
    with pytest.raises(TableError, match=r"no input column is left to learn from \('x': constant \(1\)\)"):
        TableEncoder.fit(pd.DataFrame({"x": [1, 1]}))
    with pytest.raises(TableError, match=r"no input column is left to learn from \(the table has none\)"):
        TableEncoder.fit(pd.DataFrame(index=range(3)))
    with pytest.raises(TableError, match="column 'x' holds 1 infinite value: mend or empty these cells"):
        TableEncoder.fit(pd.DataFrame({"x": [1, np.inf, 3]}))
    encoder = TableEncoder.fit(pd.DataFrame({"dose": [1.0, 2.0, 3.0]}))
    with pytest.raises(TableError, match="column 'dose' holds 2 infinite values"):
        encoder.transform(pd.DataFrame({"dose": [np.inf, -np.inf]}))
    with pytest.raises(TableError, match=r"the model's input 'dose' is no column; did you mean 'Dose'\?"):
        encoder.transform(pd.DataFrame({"Dose": [1.0]}))


def test_encoder_survives_json():
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0], "salt": ["Na", "K", "K"], "unit": ["mg"] * 3})
    encoder = TableEncoder.fit(frame)
    assert TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"columns": [{"kind": "exec", "name": "x"}]},
        {"columns": [{"kind": "numeric", "name": 3, "fill": 1.0}]},
        {"columns": [{"kind": "numeric", "name": "x", "fill": float("nan")}]},
        {"columns": [{"kind": "categorical", "name": "x", "categories": [1], "fill": "a"}]},
        {"columns": 5},
        {"columns": ["numeric"]},
    ],
)
def test_malformed_encoder_data_are_refused(data):
    with pytest.raises(ValueError, match=r"malformed|not finite"):
        TableEncoder.from_dict(data)


def test_no_rows_and_extra_columns_at_prediction():
    encoder = TableEncoder.fit(pd.DataFrame({"x": [1.0, 2.0, 3.0]}))
    assert encoder.transform(pd.DataFrame({"x": [], "extra": []})).shape == (0, 1)


def test_thousands_are_not_guessed():
    with pytest.raises(TableError, match=r"2 of 2 rows hold text \('1,234', '5,678'\)"):
        target_values(pd.DataFrame({"y": ["1,234", "5,678"]}), ["y"])
    assert as_numbers(pd.Series(["1,234", "5,67"])).tolist() == [1.234, 5.67]


def test_dates_are_no_numbers():
    with pytest.raises(TableError, match="target 'y' must be numbers"):
        target_values(pd.DataFrame({"y": pd.date_range("2020-01-01", periods=3)}), ["y"])


def test_as_numbers_leaves_the_input_alone():
    series = pd.Series(["1,5", "x", None])
    np.testing.assert_array_equal(as_numbers(series).to_numpy(), [1.5, np.nan, np.nan])
    assert series.tolist()[:2] == ["1,5", "x"]


def test_repeated_columns_of_a_csv_are_refused(tmp_path):
    """Not renamed to x.1 in silence, as pandas does."""
    (tmp_path / "a.csv").write_text("x, x ,y\n1,2,3\n")
    with pytest.raises(TableError, match="two columns of the name 'x': rename one"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("dates", [["2024-01-31", "2024-02-01"], ["31.01.2024 12:00", "1.2.2024"]])
def test_dates_as_text_are_left_out_and_said_so(dates):
    frame = pd.DataFrame({"day": dates * 10, "x": np.arange(20.0), "y": np.arange(20.0)})
    encoder = TableEncoder.fit(frame[["day", "x"]])
    assert encoder.decisions()[0].startswith("'day' dropped: dates; give them as numbers")
