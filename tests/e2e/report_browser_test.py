"""How a browser shows reports of real jobs: every figure is drawn, nothing is requested, nothing of a job runs.

Needs Chromium (deploy/bootstrap --tests); elsewhere it says so and is skipped.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import browser  # noqa: E402
import report_jobs  # noqa: E402
from cluster import TopicsCase  # noqa: E402

if browser.find() is None:
    print("Skipped\nno Chromium: what a browser makes of a report is not looked at")  # tests/summary.py shows it
    sys.exit(77)

# Of each figure its title, its curves' points, and those of its paths.
FIGURES = """[...document.querySelectorAll('figure.plot')].map(figure => ({
  title: figure.querySelector('strong').textContent,
  points: [...figure.querySelectorAll('path[data-x]')].map(path => path.dataset.x.split(' ').length),
  lengths: [...figure.querySelectorAll('path[data-x]')].map(path => path.getTotalLength()),
  legend: [...figure.querySelectorAll('.legend li')].map(item => item.textContent),
  inside: [...figure.querySelectorAll('path[data-x]')].every(path => {
    const box = path.getBBox();
    return box.x >= 59 && box.y >= 9 && box.x + box.width <= 629 && box.y + box.height <= 217;
  })}))"""
# Everything that could make a browser request something.
ADDRESSES = """[...document.querySelectorAll('*')].flatMap(element => [...element.attributes].filter(attribute =>
  /^(src|href|srcset|data|action|poster|xlink:href)$/.test(attribute.name)).map(attribute => attribute.value))"""


class ReportBrowser(TopicsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        report_jobs.train(cls.cluster)
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def open(self, *jobs, dark=False):
        file = self.cluster.folder / "page.html"
        self.cluster.ok("report", *jobs, "--out", file)
        self.browser.open(file, dark)
        return file

    def expect_quiet(self, file):
        self.assertEqual([], self.browser.errors())
        self.assertEqual([], [url for url in self.browser.requests() if url != file.as_uri() and not url.startswith("data:")])
        self.assertEqual(["data:,"], self.browser.evaluate(ADDRESSES))

    def figures(self):
        return {figure["title"]: figure for figure in self.browser.evaluate(FIGURES)}

    def expect_drawn(self, figures):
        for title, figure in figures.items():
            self.assertTrue(figure["inside"], title)
            for points, length in zip(figure["points"], figure["lengths"], strict=True):
                self.assertGreater(points, 1, title)
                self.assertGreater(length, 100, title)

    def test_every_figure_of_a_job_is_drawn(self):
        file = self.open("first")
        self.expect_quiet(file)
        figures = self.figures()
        self.expect_drawn(figures)
        self.assertLessEqual({"Loss", "Gradient weight over positives", "Similarity", "Gradient norm", "Learning rate",
                              "Seconds per step by phase", "Speed", "ndcg@10"}, set(figures))
        self.assertEqual([30], figures["Loss"]["points"])
        self.assertEqual([3], figures["ndcg@10"]["points"], "steps 10, 20 and 30; before and after are in a table")
        self.assertEqual(["positives", "negatives"], figures["Similarity"]["legend"])

    def test_the_values_at_the_pointer_are_those_of_the_step(self):
        self.open("first")
        x, y, step, value = self.browser.evaluate("""(() => {
          const path = [...document.querySelectorAll('figure.plot')].find(f => f.textContent.includes('Loss')).querySelector('path[data-x]');
          path.closest('figure').scrollIntoView();
          const box = path.closest('svg').getBoundingClientRect();
          return [box.left + path.dataset.x.split(' ')[9] * box.width / 640, box.top + box.height / 2,
                  path.dataset.s.split(' ')[9], path.dataset.v.split('|')[9]];
        })()""")
        self.browser.point_at(x, y)
        shown = "[...document.querySelectorAll('.tip')].filter(tip => !tip.hidden).map(tip => tip.innerText)"
        self.assertEqual([f"step {step}: {value}"], self.browser.evaluate(shown))
        self.browser.point_at(1, 1)
        self.assertEqual([], self.browser.evaluate(shown))

    def test_nothing_of_a_job_runs(self):
        file = self.open("second")
        self.expect_quiet(file)
        self.assertEqual("second · muster", self.browser.evaluate("document.title"))
        self.assertEqual([1, 0], self.browser.evaluate("[document.scripts.length, document.images.length]"))
        self.assertIn("</pre></style><script>", self.browser.evaluate("document.querySelector('pre').textContent"))
        self.expect_drawn(self.figures())

    def test_an_unescaped_script_would_not_run_either(self):
        file = self.open("first")
        page = file.read_text(encoding="utf-8")
        file.write_text(page.replace("<h1>", "<script>document.title = 'attacked'</script><img src='https://muster.invalid/x'><h1>"), encoding="utf-8")
        self.browser.open(file)
        self.assertEqual("first · muster", self.browser.evaluate("document.title"))
        refused = [text for text in self.browser.errors() if "Content Security Policy" in str(text)]
        self.assertEqual(2, len(refused), self.browser.errors())

    def test_a_comparison_draws_both_jobs(self):
        file = self.open("first", "second")
        self.expect_quiet(file)
        figures = self.figures()
        self.expect_drawn(figures)
        self.assertEqual([30, 20], figures["Loss"]["points"])
        for title, figure in figures.items():
            self.assertEqual(["first", "second"], figure["legend"], title)

    def test_it_follows_the_color_scheme_of_the_reader(self):
        lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((sum, part) => sum + Number(part), 0)"
        self.open("first")
        self.assertGreater(self.browser.evaluate(lightness), 700)
        self.open("first", dark=True)
        self.assertLess(self.browser.evaluate(lightness), 200)


if __name__ == "__main__":
    unittest.main()
