"""Whether a text is a job's: what producers and workers recorded is what a proof computes again."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_cases import SALT, make_job, make_lease
from worker_cases import ANSWER, final_of, make_office, make_report, run

from pointsman_audit import Agreement, Candidate, ContentPart, Digests, Proof, answer_forms, prove
from pointsman_audit.proof import digests_in
from pointsman_console.audit_prove_command import prompt_forms
from pointsman_producer import JobEncoder
from pointsman_routes import Answer, CalledFunction, Ok, Refused, ToolCall, salted_digest

JOB = make_job()
LINE = json.dumps({"custom_id": "t-1", "class": "triage", "messages": [{"role": "user", "content": "Which way?"}]})
BATCH_LINE = json.dumps(
    {
        "custom_id": "other",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "triage", "messages": [{"role": "user", "content": "Which way?"}]},
    }
)
CALLED = CalledFunction(name="turn", arguments='{"to":"l\N{LATIN SMALL LETTER E WITH ACUTE}"}')
CALL = ToolCall(id="c-1", function=CALLED)


async def lived(answer: Answer | None = ANSWER, salt: str = SALT) -> tuple[Digests, str]:
    """The digests of a job that was taken in, asked and ended by the code that does; and its result line."""
    office = make_office()
    accepted = JobEncoder(office.table).encode("batch", JOB, 0, salt=salt).record
    report = make_report(Ok(answer=answer)) if answer is not None else make_report(Refused(detail="no"))
    settlement = await run(make_lease(salt=salt), report, office=office)
    final = final_of(settlement).model_dump(mode="json")
    story = [{**json.loads(accepted), "seq": 1}, {"kind": "moved", "seq": 2}, {**final, "seq": 3}]
    digests = Digests(task_class="triage", records=tuple(digests_in(story)), salt=salt, asked=JOB.asked(), gone="")
    return digests, settlement.result.decode() if isinstance(settlement.result, bytes) else settlement.result


def tried(text: str, digests: Digests, part: ContentPart | None = None) -> Proof:
    """What the command says of a text."""
    return prove([*prompt_forms(text, digests.task_class), *answer_forms(text)], digests, part)


@pytest.mark.parametrize("line", [LINE, BATCH_LINE, f"  {LINE}\r\n", json.dumps(json.loads(LINE), indent=2)])
async def test_prompt(line: str) -> None:
    """A job's line in either form is what was asked, by the digests of both records, whatever its producer named it."""
    digests, _ = await lived()
    proof = tried(line, digests)
    assert (proof.agreement, proof.part, proof.form) == (Agreement.SAME, ContentPart.PROMPT, "job line")
    assert proof.seqs == (1, 3)


@pytest.mark.parametrize(
    "change",
    [{"max_tokens": 7}, {"temperature": 0}, {"messages": [{"role": "user", "content": "Which way? "}]}],
)
async def test_another_prompt(change: dict[str, Any]) -> None:
    """A line in which anything else is asked is not the job's."""
    digests, _ = await lived()
    assert tried(json.dumps({**json.loads(LINE), **change}), digests).agreement is Agreement.DIFFERENT


async def test_class_given_from_outside() -> None:
    """A line whose class was given for the whole file is found under the class of the record, and that is said."""
    digests, _ = await lived()
    for given_class in ({"class": "another"}, {}):
        line = {**json.loads(LINE), **given_class}
        if not given_class:
            del line["class"]
        proof = tried(json.dumps(line), digests)
        assert proof.agreement is Agreement.SAME
        assert proof.form == "job line under the class that the job had"


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        Answer(content="", finish_reason="tool_calls", tool_calls=(CALL, CALL)),
        Answer(content="so \N{LATIN SMALL LETTER E WITH ACUTE}", finish_reason="tool_calls", tool_calls=(CALL,)),
        Answer(content='{"id": "x"}', finish_reason="stop"),
    ],
)
async def test_answer(answer: Answer) -> None:
    """A worker's result line, and the text that digests are taken of, are the answer of the final record."""
    digests, line = await lived(answer)
    for text, form in ((line, "result line"), (line + "\n", "result line"), (answer.canonical(), "plain text")):
        proof = tried(text, digests)
        assert proof == Proof(Agreement.SAME, proof.why, ContentPart.ANSWER, form, (3,))
    proof = tried(answer.canonical() + "\r\n", digests)
    assert (proof.agreement, proof.form) == (Agreement.SAME, "plain text without its last line feed")
    for text in (answer.canonical() + " ", answer.canonical() + "\n\n", line.replace('"content"', '"said"'), ""):
        assert tried(text, digests).agreement is Agreement.DIFFERENT, text


async def test_only_one_part() -> None:
    """Where one part is asked for, the other does not count; what is no job's line is said to be none."""
    digests, line = await lived()
    assert tried(LINE, digests, ContentPart.PROMPT).agreement is Agreement.SAME
    assert tried(LINE, digests, ContentPart.ANSWER).agreement is Agreement.DIFFERENT
    assert tried(line, digests, ContentPart.ANSWER).agreement is Agreement.SAME
    proof = tried(line, digests, ContentPart.PROMPT)
    assert proof.agreement is Agreement.DIFFERENT
    assert proof.why == "it cannot be read as any prompt of a job"


async def test_no_answer_on_record() -> None:
    """Of a job that was not answered no text can be the answer, and its prompt is proven all the same."""
    digests, _ = await lived(None)
    assert tried(LINE, digests).agreement is Agreement.SAME
    proof = tried("anything", digests, ContentPart.ANSWER)
    assert (proof.agreement, proof.why) == (Agreement.UNTELLABLE, "no record has a digest of its answer")


async def test_without_the_salt() -> None:
    """Without the salt nothing can be told, not even of the very text; the reason is handed on."""
    digests, line = await lived()
    bare = replace(digests, salt=None, asked=None, gone="it was erased")
    for text in (LINE, line):
        assert tried(text, bare) == Proof(Agreement.UNTELLABLE, "it was erased")


async def test_records_that_disagree() -> None:
    """An end whose prompt is not that of any acceptance before it is a contradiction, with or without a salt."""
    digests, _ = await lived()
    accepted, final, answer = digests.records
    changed = (accepted, final._replace(digest="0" * 64), answer)
    for salt in (SALT, None):
        proof = tried(LINE, replace(digests, records=changed, salt=salt))
        assert proof.agreement is Agreement.CONTRADICTORY
        assert "record 3" in proof.why
        assert "record 1" in proof.why


async def test_an_end_agrees_with_what_came_before_it() -> None:
    """An end without an acceptance contradicts nothing; one that only a later acceptance agrees with does."""
    digests, line = await lived()
    accepted, *ended = digests.records
    assert tried(line, replace(digests, records=tuple(ended))).agreement is Agreement.SAME
    later = accepted._replace(seq=9)
    assert tried(line, replace(digests, records=(*ended, later))).agreement is Agreement.SAME
    first = accepted._replace(digest="0" * 64)
    proof = tried(line, replace(digests, records=(first, *ended, later)))
    assert proof.agreement is Agreement.CONTRADICTORY


async def test_a_prompt_is_no_answer() -> None:
    """The text that a prompt's digest is taken of is not called an answer, though a record has its digest."""
    digests, _ = await lived()
    assert tried(JOB.asked(), digests).agreement is Agreement.DIFFERENT


@pytest.mark.parametrize("word", ["unsalted", "unreadable", "unknown"])
async def test_words_for_digests(word: str) -> None:
    """A record with a word in place of a digest contradicts nothing, and is not what a text is held against."""
    digests, _ = await lived()
    accepted, final, _ = digests.records
    proof = tried(LINE, replace(digests, records=(accepted, final._replace(digest=word))))
    assert (proof.agreement, proof.seqs) == (Agreement.SAME, (1,))
    nothing = replace(digests, records=(final._replace(digest=word),), asked=None)
    assert tried(LINE, nothing).agreement is Agreement.UNTELLABLE


async def test_taken_in_anew_under_another_salt() -> None:
    """Of a job that was taken in twice, only records made with the salt that is kept are held against a text."""
    first, _ = await lived(salt="first")
    second, line = await lived(salt="second")
    later = tuple(one._replace(seq=one.seq + 10) for one in second.records)
    both = (first.records[0], *later)
    proof = tried(LINE, replace(first, records=both))
    assert (proof.agreement, proof.seqs) == (Agreement.SAME, (1,))
    assert tried(line, replace(first, records=both)).agreement is Agreement.DIFFERENT
    assert tried(line, replace(first, records=both), ContentPart.ANSWER).agreement is Agreement.UNTELLABLE
    proof = tried(line, replace(second, records=both))
    assert (proof.agreement, proof.seqs) == (Agreement.SAME, (13,))


async def test_kept_content_that_was_changed() -> None:
    """Where salt and job in the content table are not those of the records, nothing is proven by them."""
    digests, _ = await lived()
    for kept in (replace(digests, salt="another"), replace(digests, asked=make_job(text="Other?").asked())):
        assert tried(LINE, kept).agreement is Agreement.CONTRADICTORY


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)
       | st.dictionaries(st.sampled_from(["id", "response", "body", "choices", "message", "content", "messages"]),
                         inner)).map(json.dumps))  # fmt: skip
def test_any_text(text: str) -> None:
    """Whatever the text is, it is told to be another one."""
    record = {"kind": "accepted", "seq": 1, "prompt_digest": salted_digest(SALT, JOB.asked())}
    digests = Digests(task_class="triage", records=tuple(digests_in([record])), salt=SALT, asked=JOB.asked(), gone="")
    assert tried(text, digests).agreement is Agreement.DIFFERENT


@pytest.mark.parametrize(
    "response",
    [
        None,
        {},
        {"body": {}},
        {"body": {"choices": []}},
        {"body": {"choices": {"0": 1}}},
        {"body": {"choices": [7]}},
        {"body": {"choices": [{"message": None}]}},
        {"body": {"choices": [{"message": {"content": 7}}]}},
        {"body": {"choices": [{"message": {"content": "x", "tool_calls": 7}}]}},
        {"body": {"choices": [{"message": {"content": "x", "tool_calls": [{"id": ""}]}}]}},
    ],
)
async def test_odd_result_lines(response: Any) -> None:
    """A result line in which no answer can be found is read as plain text only."""
    _, line = await lived()
    whole = {"status_code": 200, "request_id": None, **response} if response is not None else None
    text = json.dumps({**json.loads(line), "response": whole})
    assert list(answer_forms(text)) == [Candidate(ContentPart.ANSWER, "plain text", text)]
