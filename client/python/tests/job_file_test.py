"""Job files and dicts become specifications by the rules of the command line."""
import pathlib
import re
import tempfile
import unittest

from muster import InvalidArgumentError, _job_file
from muster.v1 import job_pb2

WHOLE = """
name: scifact-lsepair
model: {from: all-minilm-l6-v2, pooling: mean, normalize: true, max_length: {query: 64, passage: 256}}
data: {train: scifact, positives: {per_query: 4, choose: random, sources: [llm, human]}, negatives: {per_query: 4}}
loss: {objective: lsepair, temperature: 0.05, matryoshka_dimensions: [128, 32], matryoshka_weights: [1, 0.5]}
batch: {queries: 32, micro_batch_tokens: 16384, keep_activations: 4GiB}
optimizer: {learning_rate: 2e-5, schedule: linear}
duration: {epochs: 3}
resources: {device: gpu, slots: {min: 4, max: 8}, queue: research, priority: -10}
"""


class JobFile(unittest.TestCase):
    def refused(self, job, **more):
        with self.assertRaises(InvalidArgumentError) as caught:
            _job_file.parse(job, **more)
        self.assertEqual((caught.exception.code, caught.exception.exit_code), ("INVALID_ARGUMENT", 2))
        return caught.exception.message

    def test_a_file_sets_every_kind_of_field(self):
        spec = _job_file.parse(WHOLE).spec
        self.assertEqual(getattr(spec.model, "from"), "all-minilm-l6-v2")
        self.assertEqual(spec.model.pooling, job_pb2.POOLING_MEAN)
        self.assertIs(spec.model.normalize, True)
        self.assertEqual(spec.model.max_length.passage, 256)
        self.assertEqual(list(spec.data.positives.sources), ["llm", "human"])
        self.assertEqual(spec.loss.objective, job_pb2.OBJECTIVE_LSEPAIR)
        self.assertEqual(list(spec.loss.matryoshka_weights), [1, 0.5])
        self.assertEqual(spec.batch.keep_activations, 4 << 30)
        self.assertEqual(spec.optimizer.learning_rate, 2e-5, "YAML 1.1 would read a text")
        self.assertEqual(spec.resources.priority, -10)

    def test_a_dict_a_file_and_a_text_mean_the_same(self):
        as_dict = {"name": "a", "model": {"from": "m", "pooling": "mean", "normalize": False, "lora": {}},
                   "data": {"train": "d", "positives": {"sources": ("x", "y"), "min_grade": 0.5}},
                   "batch": {"queries": 8, "keep_activations": "4GiB"}, "optimizer": {"learning_rate": 2e-5}, "duration": {"steps": 3},
                   "seed": None}
        text = ('name: a\nmodel: {from: m, pooling: POOLING_MEAN, normalize: false, lora: {}}\n'
                'data: {train: d, positives: {sources: [x, y], min_grade: 0.5}}\nbatch: {queries: 8, keep_activations: 4294967296}\n'
                'optimizer: {learning_rate: 0.00002}\nduration: {steps: 3}\nseed: null\n')
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "job.yaml"
            path.write_text(text)
            specs = [_job_file.parse(job).spec for job in (as_dict, text, path, str(path))]
        specs.append(_job_file.parse(specs[0]).spec)
        for spec in specs[1:]:
            self.assertEqual(spec, specs[0])
        self.assertTrue(specs[0].model.HasField("lora"), "an empty message is present")
        self.assertFalse(specs[0].HasField("seed"), "null is as if the field were left out")

    def test_names_that_yaml_1_1_would_change_stay(self):
        spec = _job_file.parse("name: no\ndata: {train: 017, split: on}\nseed: 010\n").spec
        self.assertEqual((spec.name, spec.data.train, spec.data.split, spec.seed), ("no", "017", "on", 10))

    def test_numbers_of_numpy_are_numbers(self):
        class Scalar:  # as numpy.float32
            def item(self):
                return 0.25
        self.assertEqual(_job_file.parse({"loss": {"temperature": Scalar()}}).spec.loss.temperature, 0.25)

    def test_errors_name_line_field_what_is_allowed_and_the_nearest_name(self):
        for text, expected in (
            ("name: a\nloss:\n  objective: lse_pair\n",
             'job:3: loss.objective: unknown value "lse_pair". Allowed: default, jointlh, jointlh_sum, rand1lh, summarglh, lsepair, mean1lh. '
             'Did you mean "lsepair"?'),
            ("name: a\nlos: {}\n", "job:2: los: unknown key. Allowed: name, model, data, loss, batch, optimizer, duration, evaluate, "
             'report, resources, checkpoint, seed, precision, profile, trace_steps, stages, mine. Did you mean "loss"?'),
            ("name: a\nname: b\n", "job:2: name: is given twice. Remove one."),
            ("duration:\n  epochs: 1\n  steps: 2\n", "job:3: duration.steps: excludes duration.epochs. Remove one of them."),
            ("loss: [1]\n", "job:1: loss: must have keys. Allowed: objective, temperature, matryoshka_dimensions, matryoshka_weights, "
             "false_negatives, distill."),
            ("model: {normalize: yes}\n", 'job:1: model.normalize: "yes" is not a truth value: true or false.'),
            ("batch: {queries: -1}\n", 'job:1: batch.queries: "-1" is not a whole number from 0 to 4294967295.'),
            ("batch: {queries: 3.5}\n", 'job:1: batch.queries: "3.5" is not a whole number from 0 to 4294967295.'),
            ("batch: {keep_activations: 4Gb}\n",
             'job:1: batch.keep_activations: "4Gb" is not a whole number or size, such as 4096 or 4GiB.'),
            ("loss: {temperature: nan}\n", 'job:1: loss.temperature: "nan" is not a number.'),
            ("loss: {temperature: 1e39}\n", 'job:1: loss.temperature: "1e39" is not a number of single precision.'),
            ("loss: {matryoshka_dimensions: [a, 1]}\n", 'job:1: loss.matryoshka_dimensions: "a" is not a number that this list can hold.'),
            ("loss: {matryoshka_dimensions: 5}\n", "job:1: loss.matryoshka_dimensions: must be a list, such as [a, b]."),
            ("name: {a: b}\n", "job:1: name: must be a single value."),
            ("a: b\n---\nc: d\n", "job: must hold one job, found several."),
        ):
            with self.subTest(text):
                self.assertEqual(self.refused(text), expected)
        self.assertIn("is not valid YAML", self.refused("name: [a\nb: c\n"))

    def test_gradient_accumulation_is_refused_with_what_to_use_instead(self):
        for job in ("batch: {gradient_accumulation_steps: 4}\n", "accumulate: 4\n", {"optimizer": {"grad-accum-steps": 2}}):
            with self.subTest(job):
                self.assertIn("unknown key. There is no gradient accumulation: ", self.refused(job))
        source = (pathlib.Path(__file__).resolve().parents[3] / "common/spec/foreign_keys.cc").read_text()
        found = "".join(re.findall(r'"([^"\n]*)"', source[source.index("kAccumulation ="):source.index("kAccumulationKeys =")].split("// ")[0]))
        self.assertEqual(found, _job_file._ACCUMULATION, "the same words as the command line's")
        keys = source[source.index("kAccumulationKeys ="):source.index("}  // namespace")]
        self.assertEqual(set(re.findall(r'"([a-z]+)"', keys)), _job_file._ACCUMULATION_KEYS)

    def test_stages_are_a_list_of_keys(self):
        spec = _job_file.parse("stages:\n  - {sources: [llm], epochs: 3}\n  - {steps: 40}\n").spec
        self.assertEqual([(list(stage.sources), stage.epochs, stage.steps) for stage in spec.stages], [(["llm"], 3, 0), ([], 0, 40)])
        self.assertEqual(_job_file.parse({"stages": [{"steps": 1}]}).spec.stages[0].steps, 1)
        self.assertEqual(self.refused("stages:\n  - {epochs: 3}\n  - {epoch: 3}\n"), "job:3: stages[1].epoch: unknown key. Allowed: "
                         'sources, epochs, steps, learning_rate, warmup, schedule. Did you mean "epochs"?')
        parsed = _job_file.parse("name: a\nstages:\n  - {epochs: 3}\n")
        self.assertEqual(parsed.with_place("stages[0]: x: y"), "job:3: stages[0]: x: y")

    def test_errors_of_a_dict_name_the_field(self):
        self.assertEqual(self.refused({"loss": {"temprature": 1}}), "job: loss.temprature: unknown key. Allowed: objective, temperature, "
                         'matryoshka_dimensions, matryoshka_weights, false_negatives, distill. Did you mean "temperature"?')
        self.assertEqual(self.refused({"loss": {"temperature": float("inf")}}), 'job: loss.temperature: "inf" is not a number.')
        self.assertEqual(self.refused({"batch": {"queries": 3.0}}), 'job: batch.queries: "3.0" is not a whole number from 0 to 4294967295.')
        self.assertEqual(self.refused({"name": object()}), "job: name: must be a single value.")
        self.assertIn("must be a dict, a path, a text in YAML or a JobSpec, not int", self.refused(5))
        self.assertEqual(self.refused("nowhere.yaml"), "nowhere.yaml: No such file or directory")

    def test_overrides_replace_keys_and_clear_them(self):
        spec = _job_file.parse(WHOLE, {"loss.temperature": 0.5, "duration.steps": 7, "data.positives.sources": ["llm"], "model.lora": {},
                                       "resources": None}).spec
        self.assertEqual((spec.loss.temperature, spec.duration.WhichOneof("length"), spec.duration.steps), (0.5, "steps", 7))
        self.assertEqual(list(spec.data.positives.sources), ["llm"])
        self.assertFalse(spec.HasField("resources"))
        self.assertIn('overrides loss.temp: loss.temp: unknown key.', self.refused(WHOLE, overrides={"loss.temp": 1}))
        self.assertEqual(self.refused(WHOLE, overrides={"name.x": 1}), "overrides name.x: name has no fields.")

    def test_a_rule_that_the_coordinator_finds_broken_gets_its_place(self):
        parsed = _job_file.parse("name: a\nmodel:\n  dropout: 2\nloss: {}\n", {"loss.temperature": -1})
        self.assertEqual(parsed.with_place("model.dropout: is 2. It must be from 0 to 0.99."),
                         "job:3: model.dropout: is 2. It must be from 0 to 0.99.")
        self.assertTrue(parsed.with_place("loss.temperature: is -1").startswith("overrides loss.temperature: "))
        self.assertTrue(parsed.with_place("model.max_length.query: is 0").startswith("job:2: "), "the innermost part that was given")
        self.assertEqual(parsed.with_place("data.train: is missing"), "data.train: is missing")

    def test_sizes(self):
        for text, size in (("0", 0), ("4096", 4096), ("4GiB", 4 << 30), ("512 MB", 512000000), ("1kB", 1000), ("18446744073709551615", 2**64 - 1)):
            self.assertEqual(_job_file.parse_size(text), size, text)
        for text in ("", "4 gib", "-1", "1.5GiB", "18446744073709551616", "99999999TiB", "٤"):
            self.assertIsNone(_job_file.parse_size(text), text)

    def test_every_enumeration_of_the_specification_is_read_by_its_words(self):
        for values, prefix in ((job_pb2.Objective, "OBJECTIVE_"), (job_pb2.Pooling, "POOLING_"), (job_pb2.Device, "DEVICE_")):
            for value in values.DESCRIPTOR.values:
                word = _job_file.word_of(value)
                self.assertEqual(word, "default" if value.number == 0 else value.name[len(prefix):].lower())
        self.assertEqual(_job_file.parse({"precision": "default"}).spec.precision, 0)
        self.assertEqual(_job_file.parse({"model": {"pooling": "POOLING_DEFAULT"}}).spec.model.pooling, 0)


if __name__ == "__main__":
    unittest.main()
