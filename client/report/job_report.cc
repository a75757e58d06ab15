#include "client/report/job_report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/html_text.h"
#include "client/import_report.h"
#include "client/progress.h"
#include "client/report/evaluations.h"
#include "client/report/job_figures.h"
#include "client/report/page.h"
#include "client/report/settings.h"
#include "client/words.h"
#include "common/files.h"
#include "common/spec/training_sets.h"

namespace muster {
namespace {

using muster::v1::Job;

// Shortened to as many digits as tables show, as in `muster data show`.
std::string ShortDigest(const std::string& digest) { return digest.empty() ? "-" : digest.substr(0, 12); }

std::string Figures(const std::vector<Figure>& figures) {
  std::string html;
  for (const Figure& figure : figures) html += FigureHtml(figure);
  return html.empty() ? "" : absl::StrCat("<div class=\"plots\">\n", html, "</div>\n");
}

// "minilm", "job:k3v9x0qa", or "preset tiny".
std::string ModelText(const Job& job) {
  const auto& model = job.spec().model();
  return model.from().empty() ? absl::StrCat("preset ", model.preset()) : model.from();
}

std::string StepsText(const Job& job) {
  return absl::StrCat(WithThousands(job.progress().step()), " of ",
                      WithThousands(std::max(job.progress().total_steps(), job.resolved().total_steps())));
}

int RanksOf(const Job& job) { return job.attempts().empty() ? 0 : job.attempts().rbegin()->ranks_size(); }

double SecondsInSteps(const StepTable& steps) {
  double sum = 0;
  for (size_t i = 0; i < steps.logged(); ++i) {
    if (const double seconds = steps.Column("seconds")[i]; std::isfinite(seconds)) sum += seconds;
  }
  return sum;
}

using Facts = std::vector<std::pair<std::string, std::string>>;
Facts FactsOf(const ReportedJob& one) {
  const Job& job = one.job;
  const std::string sets = TrainingSetsText(job.spec().data());
  Facts facts = {{"id", job.id()},
                 {"phase", PhaseText(job)},
                 {"owner", job.owner()},
                 {"submitted", UtcText(job.submitted())},
                 {"ended", UtcText(job.ended())},
                 {"model", ModelText(job)},
                 {"objective", WordOf(job.spec().loss().objective())},
                 {"training data",
                  sets.empty() ? "-" : absl::StrCat(sets, ", ", Plural(job.resolved().train_queries(), "query"))},
                 {"steps", StepsText(job)},
                 {"ranks", absl::StrCat(RanksOf(job))},
                 {"attempts", absl::StrCat(job.attempts_size())}};
  if (one.steps.logged() > 0) {
    facts.emplace_back("time in steps", absl::StrCat(DurationText(SecondsInSteps(one.steps)), " (",
                                                     Plural(one.steps.logged(), "step"), ")"));
  }
  return facts;
}

std::string FactsTable(const ReportedJob& job) {
  Rows rows = {{"", ""}};
  for (const auto& [name, value] : FactsOf(job)) rows.push_back({name, value});
  return TableHtml(rows, false);
}

std::string EvaluationsHtml(const Job& job) {
  std::string html;
  for (const EvaluationTable& table : EvaluationTablesOf(job)) {
    absl::StrAppend(&html, "<h3>", EscapedHtml(table.title), "</h3>\n", TableHtml(table.rows, true));
  }
  return html;
}

std::string PhasesHtml(const StepTable& steps) {
  size_t counted = 0;
  const std::vector<PhaseSeconds> phases = PhaseSecondsOf(steps, counted);
  double total = 0;
  for (const PhaseSeconds& phase : phases) total += phase.seconds;
  if (counted == 0 || total <= 0) return "";
  Rows rows = {{"phase", "seconds", "share", "milliseconds per step"}};
  const auto add = [&](const std::string& name, double seconds) {
    rows.push_back({name, absl::StrFormat("%.1f", seconds), PercentText(seconds / total),
                    absl::StrFormat("%.2f", 1000 * seconds / static_cast<double>(counted))});
  };
  for (const PhaseSeconds& phase : phases) add(phase.phase, phase.seconds);
  add("all", total);
  const std::string note = absl::StrCat("On rank 0, over ", Plural(counted, "step"), ", without evaluations and checkpoints.");
  return absl::StrCat(ParagraphHtml(note), TableHtml(rows, true));
}

std::string AttemptsHtml(const Job& job) {
  Rows rows = {{"attempt", "ranks", "started", "from step", "last step", "ended because"}};
  for (const auto& attempt : job.attempts()) {
    rows.push_back({absl::StrCat(attempt.number()), absl::StrCat(attempt.ranks_size()), UtcText(attempt.started()),
                    WithThousands(attempt.from_step()), WithThousands(attempt.last_step()), attempt.end_reason()});
  }
  return TableHtml(rows, false);
}

std::string DatasetsHtml(const ReportedJob& job) {
  std::string html;
  for (const ReportedDataset& dataset : job.datasets) {
    absl::StrAppend(&html, "<details><summary>", EscapedHtml(dataset.name), " (", EscapedHtml(dataset.roles), "), digest ",
                    EscapedHtml(ShortDigest(dataset.digest)), "</summary>\n", ParagraphHtml(dataset.note));
    if (dataset.report.has_value()) html += ImportReportSections(*dataset.report, "h3");
    html += "</details>\n";
  }
  return html;
}

// No line of the job file can end the here-document early, because each begins with a key.
constexpr char kEndOfJob[] = "END_OF_JOB";

std::string RepeatHtml(const ReportedJob& job) {
  if (job.job_file.empty()) return "";
  const std::string& name = job.job.spec().name();
  const std::string file = absl::StrCat(IsValidName(name) ? name : "job", ".yaml");
  const std::string commands =
      absl::StrCat("cat > ", file, " <<'", kEndOfJob, "'\n", job.job_file, kEndOfJob, "\nmuster submit ", file, " --wait\n");
  Rows rows = {{"name", "is", "digest"}};
  for (const ReportedDataset& dataset : job.datasets) rows.push_back({dataset.name, "dataset", dataset.digest});
  const Job& it = job.job;
  if (!it.resolved().model_manifest().empty()) rows.push_back({ModelText(it), "model", it.resolved().model_manifest()});
  const std::string& tokenizer = it.spec().model().tokenizer();
  if (!tokenizer.empty()) rows.push_back({tokenizer, "tokenizer", it.resolved().tokenizer()});
  return absl::StrCat(
      ParagraphHtml("The job file has every setting, defaults and seed included. The result is the same wherever these names "
                    "mean the same content; \"What the numbers promise\" in Muster's documentation says how exactly."),
      CodeHtml(commands), TableHtml(rows, false));
}

std::string Notes(const std::vector<std::string>& notes) {
  return notes.empty() ? "" : absl::StrCat("<div class=\"warnings\">", ListHtml(notes), "</div>\n");
}

std::string Heading(const std::string& title, const std::string& below) {
  return absl::StrCat("<h1>", EscapedHtml(title), "</h1>\n<p class=\"sub\">", EscapedHtml(below), "</p>\n");
}

std::string Footer(const ReportStamp& stamp) {
  return absl::StrCat("<footer>Made by muster ", EscapedHtml(stamp.version), " on ", EscapedHtml(stamp.time),
                      ". This page loads nothing from the network.</footer>\n");
}

std::string SettingsTable(absl::Span<const ReportedJob> jobs, absl::Span<const std::string> labels) {
  std::vector<muster::v1::JobSpec> specs;
  for (const ReportedJob& one : jobs) specs.push_back(one.job.spec());
  Rows rows = {{"setting"}};
  rows[0].insert(rows[0].end(), labels.begin(), labels.end());
  for (const DifferingSetting& setting : DifferingSettings(specs)) {
    std::vector<std::string> row = {setting.field};
    for (const std::string& value : setting.values) row.push_back(value.empty() ? "not set" : value);
    rows.push_back(std::move(row));
  }
  return rows.size() > 1 ? TableHtml(rows, false) : ParagraphHtml("None: the jobs have the same settings.");
}

std::string FactsOfAll(absl::Span<const ReportedJob> jobs, absl::Span<const std::string> labels) {
  Rows rows = {{""}};
  rows[0].insert(rows[0].end(), labels.begin(), labels.end());
  for (size_t j = 0; j < jobs.size(); ++j) {
    for (const auto& [name, value] : FactsOf(jobs[j])) {
      auto row = std::find_if(rows.begin() + 1, rows.end(), [&, &fact = name](const auto& known) { return known[0] == fact; });
      if (row == rows.end()) row = rows.insert(rows.end(), std::vector<std::string>(jobs.size() + 1));
      (*row)[0] = name;
      (*row)[j + 1] = value;
    }
  }
  return TableHtml(rows, false);
}

std::string PhasesOfAll(absl::Span<const ReportedJob> jobs, absl::Span<const std::string> labels) {
  Rows rows = {{"milliseconds per step"}};
  rows[0].insert(rows[0].end(), labels.begin(), labels.end());
  for (size_t j = 0; j < jobs.size(); ++j) {
    size_t counted = 0;
    for (const PhaseSeconds& phase : PhaseSecondsOf(jobs[j].steps, counted)) {
      if (counted == 0) continue;
      auto row = std::find_if(rows.begin() + 1, rows.end(), [&](const auto& known) { return known[0] == phase.phase; });
      if (row == rows.end()) row = rows.insert(rows.end(), std::vector<std::string>(jobs.size() + 1));
      (*row)[0] = phase.phase;
      (*row)[j + 1] = absl::StrFormat("%.2f", 1000 * phase.seconds / static_cast<double>(counted));
    }
  }
  return TableHtml(rows, true);
}

constexpr char kCareful[] =
    "The value of each set's last evaluation. A higher value on one set of queries is not yet a better model, and one run is "
    "not yet a better method: test the difference query by query, and train with several seeds.";

}  // namespace

std::string JobReportHtml(const ReportedJob& job, const RunTests& runs, const ReportStamp& stamp) {
  const std::vector<std::string> labels = LabelsOf(absl::MakeConstSpan(&job, 1));
  const std::string body = absl::StrCat(
      Heading(labels[0], absl::StrCat("Training job ", job.job.id(), ": ", PhaseText(job.job))), Notes(job.notes),
      SectionHtml("Evaluation, before and after", EvaluationsHtml(job.job)),
      SectionHtml("Rankings", RunTestsHtml(runs, labels)),
      SectionHtml("Curves", absl::StrCat(Figures(FiguresOfJob(job)), ParagraphHtml(job.steps_note))),
      SectionHtml("Seconds by phase", PhasesHtml(job.steps)), SectionHtml("The job", FactsTable(job)),
      SectionHtml("Attempts", AttemptsHtml(job.job)), SectionHtml("Data", DatasetsHtml(job)),
      SectionHtml("Repeat the job", RepeatHtml(job)), Footer(stamp));
  return PageHtml(absl::StrCat(labels[0], " · muster"), body);
}

std::string ComparisonReportHtml(absl::Span<const ReportedJob> jobs, const RunTests& runs, const ReportStamp& stamp) {
  const std::vector<std::string> labels = LabelsOf(jobs);
  std::vector<std::string> notes, steps_notes;
  std::string repeat;
  for (size_t j = 0; j < jobs.size(); ++j) {
    for (const std::string& note : jobs[j].notes) notes.push_back(absl::StrCat(labels[j], ": ", note));
    steps_notes.push_back(absl::StrCat(labels[j], ": ", jobs[j].steps_note));
    absl::StrAppend(&repeat, "<details><summary>", EscapedHtml(labels[j]), "</summary>\n", RepeatHtml(jobs[j]), "</details>\n");
  }
  const Rows metrics = FinalMetricRows(jobs, labels);
  const std::string body = absl::StrCat(
      Heading(absl::StrJoin(labels, ", "), absl::StrCat("Comparison of ", Plural(jobs.size(), "job"))), Notes(notes),
      SectionHtml("Final metrics", metrics.size() > 1 ? absl::StrCat(ParagraphHtml(kCareful), TableHtml(metrics, true)) : ""),
      SectionHtml("Rankings", RunTestsHtml(runs, labels)), SectionHtml("Settings that differ", SettingsTable(jobs, labels)),
      SectionHtml("Curves", absl::StrCat(Figures(FiguresOfJobs(jobs)), ListHtml(steps_notes))),
      SectionHtml("Seconds by phase", PhasesOfAll(jobs, labels)), SectionHtml("The jobs", FactsOfAll(jobs, labels)),
      SectionHtml("Repeat the jobs", repeat), Footer(stamp));
  return PageHtml(absl::StrCat(absl::StrJoin(labels, ", "), " · muster"), body);
}

}  // namespace muster
