"""Env files: what a line means, which line it is, and what is said of a bad one."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.envfile import LARGEST, EnvFile, parse_env_file, read_env_file
from agent.config.problems import InvalidConfiguration

PATH = Path("/etc/celery-agent/magic.env")


def parse(text: str) -> EnvFile:
    return parse_env_file(text.encode(), PATH)


def values(text: str) -> dict[str, str]:
    return {variable.name: variable.value for variable in parse(text).variables}


def lines_of_problems(text: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as error:
        parse(text)
    return [problem.line for problem in error.value.problems]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b ", "b"),
        ("export A=b", "b"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A='b # c'", "b # c"),
        (r'A="b\\n\"c\d"', r"b\n" + '"' + r"c\d"),
        ("A='b\nc'", "b\nc"),
        ("A=$HOME", "$HOME"),
        ("A=${HOME}", "${HOME}"),
        ("A=ü", "ü"),
        (r'A="b\\"', "b\\"),
        (r"A='b\n'", r"b\n"),
        ('A={"queue": {"POOL": "solo"}}', '{"queue": {"POOL": "solo"}}'),
    ],
)
def test_a_value_is_what_the_docstring_says(line: str, value: str) -> None:
    assert values(line) == {"A": value}


def test_comments_and_blank_lines_mean_nothing() -> None:
    assert values("# a\n\n   \n  # b\nA=1\n") == {"A": "1"}


def test_windows_line_ends_mean_nothing() -> None:
    assert values("A=1\r\nB=2\r\n") == {"A": "1", "B": "2"}


@given(st.lists(st.sampled_from(["", "# comment", "   ", "\t# another"]), max_size=6))
def test_a_variable_is_known_by_the_line_it_begins_on_whatever_stands_above(above: list[str]) -> None:
    file = parse("\n".join([*above, "A='1\n2'", "", "B=3"]))
    assert [variable.line for variable in file.variables] == [len(above) + 1, len(above) + 4]
    assert file.place("B") == f"{PATH}:{len(above) + 4}"


def test_the_place_of_a_variable_that_is_not_there_is_the_file() -> None:
    assert parse("A=1").place("B") == str(PATH)


def test_of_two_lines_for_one_name_the_last_counts_and_the_first_is_remembered() -> None:
    file = parse("A=1\nB=2\nA=3\n")
    assert {variable.name: variable.value for variable in file.variables} == {"A": "3", "B": "2"}
    assert [(variable.name, variable.line) for variable in file.repeated] == [("A", 1)]


def test_settings_of_the_agent_are_told_from_what_is_handed_on() -> None:
    file = parse("CELERY_AGENT_TASKS=a:B\ncelery_agent_pool=solo\nRABBITMQ_HOST=here\n")
    assert [variable.name for variable in file.for_agent] == ["CELERY_AGENT_TASKS", "celery_agent_pool"]
    assert [variable.name for variable in file.for_tasks] == ["RABBITMQ_HOST"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("A=1\n\n\nB='open", 4, "the value of B has a quote that isn't closed"),
        ('export B="a" b', 1, "the value of B has a quote that isn't closed, or text after one"),
        ("A=1\nhello world", 2, "this is no NAME=value line. Begin a comment with '#'."),
        ("hello", 1, "hello has no '='. Write hello=value"),
        ("=1", 1, "this is no NAME=value line"),
        ("; systemd's other comment", 1, "this is no NAME=value line. Begin a comment with '#'."),
        ("2A=1", 1, "'2A' is no variable name"),
        ("CELERY_AGENT_QUEUES__mails.out__POOL=solo", 1, "go into CELERY_AGENT_QUEUES, as JSON"),
        ("A='\0'", 1, "has a NUL character"),
        ("A=1\nB=first,\\\nC=2", 2, "the value of B ends with a backslash, and lines are not continued here"),
        ("A=1\nB=first, \\", 2, "the value of B ends with a backslash"),
        ("\ufeffA=1", 1, "there is a byte order mark"),
        ("# a\rA=1", 1, "a carriage return alone ends the line"),
        ("'A'=1", 1, "\"'A'\" is no variable name"),
        (r"A=DOMAIN\user", 1, "a shell and systemd read A otherwise: the value has a backslash, which they drop"),
        (
            r"A='b\\c'",
            1,
            "has a backslash before another one, or before a quote, and single quotes, in which they keep it",
        ),
        (r"A='it\'s'", 1, "has a backslash before another one, or before a quote"),
        (r'A="b\nc"', 1, r"has \n in double quotes, in which they know other escapes"),
        ('A="b\\\nc"', 1, "has a backslash at the end of a line in double quotes"),
        (r'A="b\$c"', 1, r"has \$ in double quotes"),
        ('A="b"#c', 1, "has a '#' behind its quotes, which is a part of it for them"),
        ("A=b\u00a0", 1, "has U+00A0 beside it, which is no space for them"),
        ("A='b'\u00a0# c", 1, "has U+00A0 beside it"),
    ],
)
def test_a_bad_line_is_named_with_what_to_do(text: str, line: int, words: str) -> None:
    (problem,) = lines_of_problems(text)
    assert problem.startswith(f"{PATH}:{line}: ")
    assert words in problem


@pytest.mark.parametrize(
    "line",
    [
        "A=$b",
        "A=b c",
        "A=b; c",
        "A=~/b",
        "A=b:~c",
        "A=`b`",
        'A="$b"',
        'A="`b`"',
        "A = b",
        "A= 'b'",
        'A={"b": 1}',
        "A=b\r",
    ],
)
def test_what_a_shell_takes_for_something_else_is_known(line: str) -> None:
    assert [variable.name for variable in parse(f"B=1\n{line}\nC=2").unlike_shell] == ["A"]


@pytest.mark.parametrize(
    "line", ["A=b#c~", "A='$b c'", 'A="it\'s"', "export A=b # c", " A=b ", "A= # c", "A=", "A=ü?x=*[1]"]
)
def test_what_a_shell_reads_too_is_not_warned_of(line: str) -> None:
    assert parse(line).unlike_shell == ()


def test_every_bad_line_is_reported() -> None:
    assert len(lines_of_problems("A\nB=1\nC\n")) == 2


def test_a_bad_line_is_not_shown_because_it_may_be_part_of_a_password() -> None:
    (problem,) = lines_of_problems("RABBITMQ_PWD='open hunter2")
    assert "hunter2" not in problem


def test_bytes_that_are_no_utf_8_are_named_with_their_line() -> None:
    with pytest.raises(InvalidConfiguration, match=r"magic.env:2: byte 0xff is not UTF-8"):
        parse_env_file(b"A=1\nB=\xff\n", PATH)


def test_a_missing_file_is_named_with_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "magic.env").touch()
    with pytest.raises(InvalidConfiguration, match=r"magik.env is missing.*Did you mean .*/magic.env\?"):
        read_env_file(tmp_path / "magik.env")


def test_a_missing_file_is_named_with_what_is_there_when_nothing_is_similar(tmp_path: Path) -> None:
    (tmp_path / "magic.env").touch()
    with pytest.raises(InvalidConfiguration, match=r"other.env is missing.*has magic.env"):
        read_env_file(tmp_path / "other.env")


def test_a_folder_in_place_of_the_file_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"can't be read: Is a directory"):
        read_env_file(tmp_path)


def test_a_link_that_leads_to_itself_is_said_to_be_one(tmp_path: Path) -> None:
    link = tmp_path / "magic.env"
    link.symlink_to(link)
    with pytest.raises(InvalidConfiguration, match="can't be read: Too many levels of symbolic links"):
        read_env_file(link)


def test_a_named_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "magic.env"
    os.mkfifo(pipe)
    link = tmp_path / "link.env"
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(InvalidConfiguration, match=r"can't be read: it is a named pipe\. It must be a text file"):
            read_env_file(path)


def test_what_another_program_prints_is_read_as_an_env_file() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"A=1\n")
    os.close(writing)
    try:
        (variable,) = read_env_file(Path(f"/dev/fd/{reading}")).variables
    finally:
        os.close(reading)
    assert variable.value == "1"


@given(st.binary(max_size=200))
def test_whatever_the_bytes_there_is_a_file_or_a_list_of_problems(content: bytes) -> None:
    try:
        file = parse_env_file(content, PATH)
    except InvalidConfiguration as error:
        assert all("\n" not in problem.line for problem in error.problems)
    else:
        assert len({variable.name for variable in file.variables}) == len(file.variables)


def test_a_file_that_is_no_env_file_by_its_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "magic.env"
    path.write_bytes(b"A=" + b"x" * LARGEST)
    with pytest.raises(InvalidConfiguration, match=r"has more than 1,048,576 bytes. It must be a text file"):
        read_env_file(path)
