#!/usr/bin/env python3
"""Keeps the text of the project (documents, comments, messages, names of tests) in plain American English: finds the phrasings that
readers stumbled over. Each rule has examples of both kinds below. docs/decisions/0085-prose-is-checked.md says why.

usage: prose_test.py [ROOT]     prints every finding; as a unit test: no arguments
"""
import bisect
import itertools
import os
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SKIPPED = {".git", ".deps", ".gl", ".ci", "build", "__pycache__"}
SUFFIXES = {".md", ".h", ".cc", ".cu", ".c", ".py", ".proto", ".yaml", ".yml", ".txt", ".cmake", ".tpl"}
# Their lines are inputs or generated, not our text.
EXCEPT = {"tests/prose_test.py", "tests/deploy/custom_resources.json", "tests/fuzz/corpus", "coordinator/data/tokenize/testdata",
          "deploy/helm/muster/dashboards", "deploy/helm/muster/rules"}
WIDTH = 120  # of Markdown, except for tables, code and links

UNIT = (r"(?:once|twice|times?|lines?|files?|bytes?|[KMGT]i?B|tokens?|threads?|slots?|records?|rows?|numbers?|process(?:es)?|calls?|"
        r"quer(?:y|ies)|ranks?|values?|cop(?:y|ies)|entr(?:y|ies)|certificates?|one|two|three|four|launch(?:es)?|readers?|plans?|"
        r"FLOPs|steps?|views?|passages|series|pages?|objects?|fields?|sessions?|tasks?|blocks?|elements?|[0-9]+(?: ?(?:s|ms|µs|GPUs?))?)")
THING = (r"(?:second|minute|hour|day|step|epoch|query|rank|host|slot|job|attempt|line|process|parameter|worker|user|GPU|pod|layer|"
         r"token|sequence|micro-batch|split|call|event|program|kind|device|thread|launch|length|file|server|session|stream|RPC|tile|"
         r"turn|owner|queue|core|folder|blob|idea|topic|update|batch|restart|start|message|page|warp|gang|head|client|input|target)")
# name → (pattern, what to write instead)
RULES = {
    "per": (rf"\b{UNIT} an? {THING}\b(?!'s| (?:has|have|brings?|takes?|asks?|asked|took|that|of the|counts|saves|resolves|with)\b)",
            '"per": one plan per step, 16 bytes per parameter'),
    "goes on": (r"\b(?:goes|go|going|went|gone) on(?! (?:the|a|this|that) )\b", "continues, keeps running"),
    "goes over": (r"\bgoes over\b", "overrides"),
    "told": (r"\b(?:is|are|was|were|be|being) told\b", "receives, is notified, or name who reports it"),
    "words": (r"\bwithout a word\b|\blast word\b|\bwords? from (?:an?|the) (?:agent|worker|rank|coordinator)\b|\b[Rr]ank 0's word\b", "silently; message"),
    "anew": (r"\banew\b", "again, from the start"),
    "stands": (r"\bst(?:ands?|ood|anding) (?:in (?!front)|still\b|beside\b|alone\b)", "is in, is frozen, is beside"),
    "stands before": (r"\b(?:stands?|stood|lies?|lay) (?:before|after|side by side|there|where|in|on|inside|outside|within|at)\b",
                      "comes before, is in"),
    "stands for": (r"\b[Ss]tands? for\b", "means"),
    "brings": (r"\b(?:wheel|[Pp]ackages?|plug-ins?|RKE2|grpcio-tools|--tests|bootstrap|library) brings?\b", "contains, installs, adds"),
    "is there": (r"\b(?:that|which|what|it|all|both) (?:is|are) (?:not )?there\b(?! (?:is|are)\b)|\b(?:is|are|was|were) not there\b",
                 "exists, does not exist, is missing"),
    "is to": (r"\b(?:is|are) to (?:be|run|save|stop|wait|end|continue|use|connect|build|know|come)\b", "must, should"),
    "is over": (r"\b(?:is|are) (?:not )?over\b(?! (?:the|all|queries)\b)", "has ended, passed, expired; unfinished"),
    "goes away": (r"\b(?:go|goes|went|gone) away\b", "is removed, disappears"),
    "speaks": (r"\bspeaks? (?:of|for|to|on|it|every)\b|\bhears? of\b", "reports, sends, is about; learns"),
    "now and then": (r"\bnow and then\b|\bsees? to it\b|\bfor want of\b", "regularly; makes sure; is missing"),
    "for people": (r"\bfor people\b", "human-readable"),
    "has to": (r"\b[Ww]hat has to\b", "name the actor"),
    "edge": (r"\b[Ee]ach edge carries\b", "every transition records"),
    "is no": (r"(?<!there )(?<!There )\b(?:is|are) no (?:(?:valid )?(?:name|JSON|YAML|number|string|list|object|failure|error|problem|"
              r"multiple|folder|file|manifest|token|message|record|tokenizer|terminal|option|command|flag|arm|key|value|digest|part))s?\b",
              "is not a"),
    "quantiles": (r"\b(?:9|99) of 10+\b|\bhalf of the jobs\b", "p50, p90, p99"),
    "for real": (r"\b(?:causes?|caused|causing) (?:\w+ ){0,2}for real\b", "injecting the actual fault"),
    "false negative": (r"false negative by position", "treated as a negative"),
    "normalizer": (r"\bonly normalizer\b", "the loss is divided by …, and by nothing else"),
    "share done": (r"\bshares? done\b", "reports progress; the completed share"),
    "parameter of": (r"`\w+`: of ", "say what the parameter is: `type`: the tables' type"),
    "one before": (r"\b[Tt]he (?:version|one|step|stage|bucket|checkpoint|page|line|file|attempt|output|release) before\b"
                   r"(?! (?:it|the|that|this|a|an|its|they|training|we)\b)", "the previous one"),
    "own": (r"\b(?:cancels?|stops?|removes?|changes?|replaces?|this to) own [a-z]+s\b|"
            r"(?<!['’]s )(?<!s['’] )(?<!datasets )(?<!\bits\s)(?<!\bits\n// )(?<!\bour )(?<!\byour )(?<!\btheir )(?<!\bhis )(?<!\bher )"
            r"\bown (?:rows|gradients|embeddings|micro-batches|sequences|queries|names)\b", "their own, this rank's"),
    "of its own": (r"\b(?:thread|process|port|folder|file|layer|tree|volume|stream|connection|program|blob|job|rate|length|code|number|option|"
                   r"target|gather|label|split|token)s? of (?:its|their|our) own\b(?! release)",
                   "a separate thread"),
    "beside": (r"(?<![-/\w])(?<!class )[Bb]eside\b(?!-| = | /)", "next to, with, in addition to, together with"),
    "so many": (r"\bso many\b(?! [a-z]+ that\b)", "this many"),
    "broke off": (r"\b(?:broke|breaks?|broken) off\b", "was interrupted"),
    "knows no": (r"\b(?:knows?|knew) no\b", "does not know any, is without"),
    "is none": (r"(?<!there )(?<!There )\b(?:is|are) none\b", "does not count, is not a"),
    "as always": (r"\bas (?:ever|always)\b|\ball the same\b", "as usual, still"),
    "in turns": (r"\bin turns\b(?!\))", "alternating, one after the other"),
    "lets go": (r"\b(?:lets?|letting) go\b", "releases, drops"),
    "but for": (r"[,(] ?but for\b", "except"),
    "who": (r"(?:^|[.:;/#] )Who (?:has|holds|waits|reads|asks|needs)\b", "a caller that, a thread that"),
    "is of": (r"\b(?:is|are|was|were) of (?:another|an? (?:older|newer|former)|the (?:same|other|device)|this (?:rank|kind|version))\b",
              "has another version, belongs to another job, is on the device"),
    "is its": (r"\b(?:is|are|was|were) (?:its|theirs|ours)[.,;:]", "belongs to it, it made the picture"),
    "as it does": (r"(?:^|// |# )As (?:\w+ ){1,2}(?:does|do|decides|chooses)[.:]", "the same as, as …, it …"),
    "as it is": (r"\bas (?:it (?:is|was|came)|they (?:are|were|came))(?=[.,;:)|])|"
                 r"\b(?:stays?|left|leaves?|used|read|sent|kept|stored|trained) (?:\w+ )?as (?:it|they) (?:is|are|was|were)\b", "unchanged"),
    "any more": (r"\bany more\b(?! (?:than|\w+s)\b)", "no longer, anymore"),
    "inside of": (r"(?<!the )\binside of\b", "inside"),
    "runs on": (r"\b(?:job|process|server|cluster|training)s? runs? on(?=[.,;:])", "keeps running"),
    "British": (r"(?:normalis|organis|serialis|initialis|recognis|synchronis|utilis|summaris|generalis|materialis|quantis|tokenis|"
                r"vectoris|parallelis[^m]|finalis|authoris|customis|minimis|maximis|prioritis|optimis(?!e\b|e_seconds|tic|m\b)|colour|"
                r"behaviour|favour|honour|neighbour|labell|modelling|artefact|judgement|acknowledgement|\bwhilst|\bamongst|\blearnt\b|"
                r"misspelt|\bspelt\b|journall|signall|cancelling|licence|travell|\bcentre\b|analyse)[a-z]*\b(?!\()", "American spelling"),
}
# Other projects' spellings, quoted.
ALLOWED = {"legacy_behaviour"}


def files_below(root):
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]  # .deps has a hundred thousand files
        yield from (pathlib.Path(folder) / name for name in files)


def texts(root):
    """(path relative to the root, text) of every file whose text is ours."""
    for path in sorted(files_below(root)):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or path.is_symlink():
            continue
        if any(name == other or name.startswith(other + "/") for other in EXCEPT):
            continue
        if path.suffix in SUFFIXES or (path.suffix == "" and path.stat().st_mode & 0o100):
            yield name, path.read_text(encoding="utf-8", errors="ignore")


# Where a sentence continues in the next line of a comment or paragraph.
WRAPPED = re.compile(r"(?<=[a-z,])\n[ \t]*(?://+ |# )?(?=[a-z])")


def findings(text):
    """(line number, rule, the words) of every phrase that breaks a rule, also across the lines of a comment or paragraph. Names in
    CamelCase are left alone."""
    breaks = [(match.start(), match.end()) for match in WRAPPED.finditer(text)]
    removed = list(itertools.accumulate((end - begin - 1 for begin, end in breaks), initial=0))
    starts = [begin - gone for (begin, _), gone in zip(breaks, removed)]  # in the joined text
    joined = WRAPPED.sub(" ", text)
    for rule, (pattern, _) in RULES.items():
        for match in re.finditer(pattern, joined):
            before = re.search(r"[A-Za-z_]*$", joined[max(0, match.start() - 60):match.start()])[0]
            words = before + match[0]
            if words not in ALLOWED and not re.search(r"[a-z][A-Z]", words):
                place = match.start() + removed[bisect.bisect_left(starts, match.start())]
                yield text.count("\n", 0, place) + 1, rule, words


TEST_NAME = re.compile(r"^(?:TYPED_TEST|TEST|TEST_F|TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(\s*\w+,\s*(\w+)|^ +def test_(\w+)\(",
                       re.MULTILINE)


def names(text):
    """(line number, rule, the words) of every test whose name, read as a sentence, breaks a rule."""
    for match in TEST_NAME.finditer(text):
        sentence = re.sub(r"(?<!^)([A-Z])", r" \1", match[1]).lower() if match[1] else match[2].replace("_", " ")
        for _, rule, words in findings(sentence + "."):
            yield text.count("\n", 0, match.start()) + 1, rule, words


def long_lines(text):
    code = False
    for number, line in enumerate(text.splitlines(), 1):
        code ^= line.startswith("```")
        if not code and len(line) > WIDTH and not re.match(r"\s*\||\s{4,}|!?\[|- \[", line):
            yield number


class Prose(unittest.TestCase):
    def test_no_phrase_that_readers_stumbled_over_is_left(self):
        found, files = [], 0
        for name, text in texts(ROOT):
            files += 1
            found += [f"{name}:{number}: \"{words}\" → {RULES[rule][1]}" for number, rule, words in (*findings(text), *names(text))]
        self.assertGreater(files, 500)
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_lines_of_markdown_wrap(self):
        found = [f"{name}:{number}" for name, text in texts(ROOT) if name.endswith(".md") for number in long_lines(text)]
        self.assertEqual([], found, f"longer than {WIDTH} characters:\n" + "\n".join(found))

    def test_each_rule_finds_its_kind_and_leaves_plain_sentences_alone(self):
        wrong = {
            "per": ["plans: one plan a step", "16 bytes a parameter", "10 s an input", "read once a second", "one a GPU", "30 s a step"],
            "goes on": ["the job goes on from its checkpoint"], "goes over": ["a flag goes over the environment"],
            "told": ["the agent is told then"], "words": ["dropped without a word", "a word from an agent"], "anew": ["import anew"],
            "stands": ["the key stands in the file", "the timer stands still"], "stands for": ["* stands for all keys", "Stands for kind"],
            "brings": ["torch's wheel brings the functions", "plug-ins bring new ones"],
            "stands before": ["a norm stands before each layer", "what lies where", "content lies in files"],
            "is there": ["the first that is there", "the file is not there"], "is to": ["what it is to run", "ranks are to stop"],
            "is over": ["the job is not over", "when the fault is over"], "goes away": ["its record goes away"],
            "speaks": ["a rank speaks every 2 s", "before anyone hears of it"],
            "now and then": ["scans it now and then", "left out for want of a compiler"],
            "for people": ["a reason for people"], "has to": ["What has to leave is asked to stop"],
            "edge": ["Each edge carries a reason"], "is no": ["\"a b\" is no name", "a warning is no problem", "seeds are no arms"],
            "quantiles": ["9 of 10", "99 of 100", "half of the jobs"], "for real": ["caused for real", "causing their faults for real"],
            "false negative": ["never a false negative by position"],
            "normalizer": ["the only normalizer is R"], "share done": ["report their share done"],
            "parameter of": ["// `type`: of the tables."],
            "one before": ["ranks of the version before", "it continues from the one before.", "the model of the stage before"],
            "own": ["a user who stops own jobs", "[rows, d]: own rows"], "of its own": ["in a thread of its own", "rates of their own"],
            "beside": ["grades beside them", "Beside each objective"], "so many": ["jobs within so many hours"],
            "broke off": ["a backup that broke off"],
            "knows no": ["the server knows no jobs"], "is none": ["so that a backup without a list is none"],
            "as always": ["it counts as always", "it is named all the same"], "in turns": ["both run in turns"],
            "lets go": ["manifests that the job let go"], "but for": ["all rows, but for the last"],
            "who": ["an operation ends. Who has waited may read it"],
            "is of": ["the server is of an older version", "Pointers are of the device"], "is its": ["the pictures are its."],
            "as it does": ["// As the coordinator decides."],
            "as it is": ["0 leaves it as it was", "weights stay as they are", "a file as it came, for messages"],
            "any more": ["content that nothing needs any more."],
            "inside of": ["the keys inside of a file"], "runs on": ["the job runs on, new work is refused"],
            "British": ["normalised", "the behaviour", "a colour", "the optimiser", "acknowledgement"],
        }
        self.assertEqual(set(wrong), set(RULES))
        for rule, lines in wrong.items():
            for line in lines:
                self.assertIn(rule, [name for _, name, _ in findings(line)], line)
        for line in ("one plan per step", "which passages a query brings to a step", "there is no file of that name", "optimise_seconds",
                     "the phase optimise", "Hop on a bus", "more than a second", "the step that a rank takes", "honorLabels",
                     "the job continues", "normalized", "there are no errors", "means are over the queries", "pointers are to row 0",
                     "the state of the version before it", "cancel their own jobs", "the rank's own rows", "a folder next to it",
                     "besides the tokenizer", "there is none", "your data as is", "the job runs on the host", "any more than that",
                     "class Beside(", "Who may call what", "so many steps that it fits", "for m in turns)"):
            self.assertEqual([], list(findings(line)), line)
        self.assertEqual([(2, "goes on", "goes on"), (3, "per", "once a step")],
                         list(names("TEST(Law, Holds) {\nTEST_F(Job, GoesOnElsewhere) {\n    def test_runs_once_a_step(self):\n")))
        self.assertEqual([(2, "as it is", "stays as it is")], list(findings("// One\n// kernel, which stays as\n// it is. A\n")))
        self.assertEqual([2], list(long_lines("short\n" + "word " * 30 + "\n| " + "cell " * 40 + "|\n```\n" + "x" * 200 + "\n```")))


if __name__ == "__main__":
    if len(sys.argv) > 1 and pathlib.Path(sys.argv[1]).is_dir():
        for name, text in texts(pathlib.Path(sys.argv[1])):
            for number, rule, words in findings(text):
                print(f"{name}:{number}: {rule}: {words}")
    else:
        unittest.main(verbosity=2)
