"""The files and rows that an import sends."""
import datetime
import json
import pathlib
import tempfile
import unittest

from muster import InvalidArgumentError, _import
from muster.v1 import data_pb2


class Rows(unittest.TestCase):
    def test_rows_become_json_lines_in_chunks_that_a_message_can_hold(self):
        rows = [{"query": f"größe {number}", "pos": ["x" * number]} for number in range(300)]
        rows[7]["pos"] = ["y" * (3 << 20)]  # longer than a chunk
        chunks = list(_import.lines_of(iter(rows)))
        self.assertTrue(all(0 < len(chunk) <= 1 << 20 for chunk in chunks))
        self.assertEqual(len(chunks), -(-sum(map(len, chunks)) // (1 << 20)), "chunks are full")
        self.assertEqual([json.loads(line) for line in b"".join(chunks).decode().splitlines()], rows)
        self.assertEqual(list(_import.lines_of([])), [])

    def test_values_of_numpy_and_dates_and_half_characters(self):
        class Array:
            def tolist(self):
                return [1, 2.5]
        row = {"scores": Array(), "day": datetime.date(2026, 1, 31), "text": "a\ud800b\u2028"}
        line = b"".join(_import.lines_of([row]))
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(json.loads(line), {"scores": [1, 2.5], "day": "2026-01-31", "text": "a\ufffdb\u2028"})

    def test_what_is_not_a_row_is_named(self):
        for rows, expected in (([{"a": 1}, "b"], "row 2: must be a dict, not str."), ([{"a": float("nan")}], "row 1: "),
                               ([{"a": object()}], "row 1: a object cannot be written as JSON.")):
            with self.assertRaises(InvalidArgumentError) as caught:
                list(_import.lines_of(rows))
            self.assertIn(expected, caught.exception.message)


class Plan(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()

    def write(self, *names):
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}\n")

    def names(self, source, **more):
        return [(part.name, part.split) for part in _import.plan(source, **more)]

    def refused(self, source, **more):
        with self.assertRaises(InvalidArgumentError) as caught:
            _import.plan(source, **more)
        return caught.exception.message

    def test_a_beir_folder_is_sent_in_its_order(self):
        self.write("qrels/test.tsv", "queries.jsonl.gz", "corpus.jsonl", "qrels.test.txt", "extra.jsonl", ".git/a.jsonl")
        self.assertEqual(self.names(self.folder), [("corpus.jsonl", ""), ("queries.jsonl.gz", ""), ("qrels/test.tsv", "")])
        self.assertEqual(self.names(str(self.folder), schema="jsonl")[0], ("corpus.jsonl", ""), "another schema takes all data files")
        self.assertEqual(self.names(self.folder / "qrels/test.tsv"), [("qrels/test.tsv", "")])

    def test_a_folder_of_data_files(self):
        self.write("test.jsonl", "train.jsonl", "sub/dev.parquet", "README.md", "dataset_infos.json", ".hidden.jsonl")
        self.assertEqual(self.names(self.folder), [("sub/dev.parquet", ""), ("test.jsonl", ""), ("train.jsonl", "")])
        self.assertEqual(self.names(str(self.folder / "t*.jsonl")), [("test.jsonl", ""), ("train.jsonl", "")])
        self.assertIn("matches no file", self.refused(str(self.folder / "x*.jsonl")))

    def test_wrong_folders_and_paths_say_what_to_do(self):
        self.write("a/corpus.jsonl", "b/corpus.jsonl")
        self.assertIn("holds 2 BEIR datasets: a, b. Import one of them", self.refused(self.folder))
        self.write("saved/data-00000.arrow")
        self.assertIn("datasets.load_from_disk(FOLDER)", self.refused(self.folder / "saved"))
        self.assertIn("does not exist", self.refused(self.folder / "nowhere"))
        self.assertIn("int is not a path", self.refused(5))
        self.assertIn("name the files", self.refused({}))

    def test_splits_by_a_dict(self):
        self.write("train/data.jsonl", "test/data.jsonl")
        rows = [{"query": "a", "pos": ["b"]}]
        self.assertEqual(self.names({"train": self.folder / "train/data.jsonl", "test": self.folder / "test/data.jsonl", "dev": rows}),
                         [("train/data.jsonl", "train"), ("test/data.jsonl", "test"), ("dev.jsonl", "dev")])
        self.assertEqual(self.names(rows), [("rows.jsonl", "")])
        self.assertEqual(self.names(iter(rows), split="dev"), [("dev.jsonl", "dev")])
        self.write("a/data.jsonl", "b/data.jsonl")
        self.assertIn("two files named data.jsonl", self.refused([self.folder / "a/data.jsonl", self.folder / "b/data.jsonl"]))

    def test_a_file_of_a_test_folder_is_not_taken_for_training_data(self):
        self.write("test/part-0.jsonl", "test/my-train.jsonl")
        self.assertIn("its folder is named test", self.refused(self.folder / "test/part-0.jsonl"))
        self.assertEqual(self.names(self.folder / "test/part-0.jsonl", split="test"), [("part-0.jsonl", "test")])
        self.assertEqual(self.names(self.folder / "test/my-train.jsonl"), [("my-train.jsonl", "")])

    def test_a_dataset_and_a_data_frame_are_rows(self):
        class Dataset:  # as datasets.Dataset
            def __iter__(self):
                return iter([{"query": "a", "pos": ["b"]}])
        class Frame:  # as pandas.DataFrame
            iloc = None
            def to_dict(self, orient):
                return [{"query": orient, "pos": ["b"]}]
        for source, query in ((Dataset(), b"a"), (Frame(), b"records")):
            messages = list(_import.requests(data_pb2.ImportHeader(name="d"), _import.plan({"train": source})))
            self.assertEqual([message.WhichOneof("part") for message in messages], ["header", "file", "chunk"])
            self.assertEqual((messages[1].file.path, messages[1].file.split), ("train.jsonl", "train"))
            self.assertEqual(messages[2].chunk, b'{"query": "' + query + b'", "pos": ["b"]}\n')


if __name__ == "__main__":
    unittest.main()
