// muster study run STUDY.yaml, muster study status STUDY.yaml, muster study report STUDY.yaml
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/interrupt.h"
#include "client/progress.h"
#include "client/study/study_file.h"
#include "client/study/study_jobs.h"
#include "client/study/study_report.h"
#include "client/study/study_status.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::JobService;

constexpr absl::Duration kStudyPatience = absl::Minutes(1);  // for a coordinator that does not answer
constexpr size_t kManyCells = 200;

struct StudyFlags {
  std::string file, out;
  size_t parallel = 0;
  bool detach = false, retry = false;
};

// A table that is drawn over the former one on a terminal; otherwise a line whenever the counts change.
class StudyDisplay {
 public:
  StudyDisplay(FILE* out, const StudyFile& study) : out_(out), study_(study), style_(StyleOf(out)) {}

  void Show(absl::Span<const CellJob> cells, absl::Time now) {
    const std::string summary = StudySummary(cells, now);
    if (!style_.terminal) {
      const StudyCounts counts = CountCells(cells);
      const std::vector<size_t> shown = {counts.to_submit, counts.waiting, counts.running, counts.done, counts.failed};
      if (shown != shown_) std::fprintf(out_, "%s\n", summary.c_str());
      shown_ = shown;
    } else {
      const int columns = ColumnsOfTerminal(out_);
      const std::string text =
          absl::StrCat(StudyTable(study_, cells, columns), "\n", FitText(summary, std::max(columns - 1, 1)), "\n");
      if (lines_ > 0) std::fprintf(out_, "\033[%dA\033[J", lines_);
      std::fprintf(out_, "%s", text.c_str());
      lines_ = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
    }
    std::fflush(out_);
  }

 private:
  FILE* out_;
  const StudyFile& study_;
  const ProgressStyle style_;
  std::vector<size_t> shown_;
  int lines_ = 0;
};

// Submits the jobs of a study. Each failed job is submitted again at most once.
class StudySubmitter {
 public:
  StudySubmitter(JobService::Stub& stub, const StudyFile& study, const StudyFlags& flags)
      : stub_(stub), study_(study), flags_(flags) {}

  // Submits what may be submitted now, and updates `cells`. RESOURCE_EXHAUSTED with reason TOO_MANY_JOBS: the user may not have
  // more unfinished jobs now.
  absl::Status Submit(std::vector<CellJob>& cells) {
    if (!retry_.has_value()) retry_ = flags_.retry ? FailedCells(cells) : std::set<size_t>();
    for (const size_t c : CellsToSubmit(study_, cells, flags_.parallel, *retry_)) {
      std::vector<std::string> notes;
      ASSIGN_OR_RETURN(cells[c].job, SubmitCell(stub_, study_.cells[c], cells[c].ended, notes));
      retry_->erase(c);
      for (const std::string& note : notes) {
        if (notes_shown_.insert(note).second) std::fprintf(stderr, "note: %s\n", note.c_str());
      }
    }
    return absl::OkStatus();
  }

 private:
  JobService::Stub& stub_;
  const StudyFile& study_;
  const StudyFlags& flags_;
  std::optional<std::set<size_t>> retry_;  // absent: not known yet
  std::set<std::string> notes_shown_;
};

int PrintStudyEnd(const Cli& cli, const StudyFile& study, const StudyFlags& flags, absl::Span<const CellJob> cells) {
  const StudyCounts counts = CountCells(cells);
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(StudyJson(study, cells), cli.output).c_str());
  } else if (counts.done == counts.total()) {
    std::printf("all jobs are done. Write the report with: muster study report %s\n", flags.file.c_str());
  }
  if (counts.failed > 0) {
    std::fprintf(stderr, "failed or cancelled: %s. See muster jobs --name %s. Submit what failed again with --retry.\n",
                 Plural(counts.failed, "job").c_str(), study.name.c_str());
  }
  return counts.failed > 0 ? kExitJobFailed : kExitSucceeded;
}

absl::StatusOr<int> DetachStudy(const Cli& cli, const StudyFile& study, JobService::Stub& stub, const StudyFlags& flags) {
  ASSIGN_OR_RETURN(std::vector<CellJob> cells, FindStudyJobs(stub, study));
  if (const absl::Status status = StudySubmitter(stub, study, flags).Submit(cells); !status.ok()) {
    return WithContext(status, absl::StrCat(Plural(CountCells(cells).to_submit, "job"), " not submitted yet"));
  }
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(StudyJson(study, cells), cli.output).c_str());
  } else {
    std::printf("%s\nfollow it with: muster study status %s\n", StudySummary(cells, RealClock().Now()).c_str(),
                flags.file.c_str());
  }
  return kExitSucceeded;
}

absl::StatusOr<int> FollowStudy(const Cli& cli, const StudyFile& study, JobService::Stub& stub, const StudyFlags& flags) {
  const InterruptScope interrupt(absl::StrCat("The jobs of study ", study.name,
                                              " keep running. Continue it with muster study run ", flags.file,
                                              ", or cancel its jobs: muster jobs --name ", study.name, "."));
  StudyDisplay display(ProgressStream(cli), study);
  const absl::Duration wait = absl::Milliseconds(study.cells.size() > kManyCells ? 2000 : 500);
  absl::Duration last_heard = RealClock().Monotonic();
  StudySubmitter submitter(stub, study, flags);
  bool told = false;
  while (true) {
    auto cells = FindStudyJobs(stub, study);
    absl::Status status = cells.ok() ? submitter.Submit(*cells) : cells.status();
    if (ReasonOf(status) == "TOO_MANY_JOBS") status = absl::OkStatus();  // until one has ended
    const absl::Duration now = RealClock().Monotonic();
    if (status.ok()) {
      last_heard = now;
      told = false;
      display.Show(*cells, RealClock().Now());
      const StudyCounts counts = CountCells(*cells);
      if (counts.to_submit + counts.unfinished() == 0) return PrintStudyEnd(cli, study, flags, *cells);
    } else if (!absl::IsUnavailable(status) || now - last_heard > kStudyPatience) {
      return status;
    } else if (!told) {
      std::fprintf(stderr, "the coordinator does not answer; trying again\n");
      told = true;
    }
    absl::SleepFor(wait);
  }
}

absl::StatusOr<int> RunStudy(const Cli& cli, const StudyFlags& flags) {
  ASSIGN_OR_RETURN(const StudyFile study, ReadStudyFile(flags.file));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  auto code = flags.detach ? DetachStudy(cli, study, *stub, flags) : FollowStudy(cli, study, *stub, flags);
  if (!code.ok()) return WithContext(code.status(), "study run");
  return code;
}

absl::StatusOr<int> ShowStudy(const Cli& cli, const StudyFlags& flags) {
  ASSIGN_OR_RETURN(const StudyFile study, ReadStudyFile(flags.file));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  const auto cells = FindStudyJobs(*stub, study);
  if (!cells.ok()) return WithContext(cells.status(), "study status");
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(StudyJson(study, *cells), cli.output).c_str());
  } else {
    std::printf("%s\n%s\n", StudyTable(study, *cells, ColumnsOfTerminal(stdout)).c_str(),
                StudySummary(*cells, RealClock().Now()).c_str());
  }
  return kExitSucceeded;
}

absl::StatusOr<int> ReportStudy(const Cli& cli, const StudyFlags& flags) {
  ASSIGN_OR_RETURN(const StudyFile study, ReadStudyFile(flags.file));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto results = FetchResults(connection, study);
  if (!results.ok()) return WithContext(results.status(), "study report");
  const bool any = std::any_of(results->begin(), results->end(), [](const CellResult& result) { return result.done; });
  if (!any) {
    return absl::FailedPreconditionError(
        absl::StrCat("study report: no job of study ", study.name, " is done. Run it with muster study run ", flags.file, "."));
  }
  const std::filesystem::path folder = flags.out.empty() ? absl::StrCat(study.name, "-report") : flags.out;
  if (const absl::Status made = MakeFolders(folder); !made.ok()) return WithContext(made, "study report: --out");
  for (const auto& [name, text] : StudyReportFiles(study, *results)) {
    if (const absl::Status written = WriteFileAtomically(folder / name, text); !written.ok()) {
      return WithContext(written, "study report: --out");
    }
    std::printf("%s\n", (folder / name).c_str());
  }
  return kExitSucceeded;
}

CLI::App* AddStudyPart(CLI::App& study, StudyFlags& flags, const char* name, const char* help) {
  CLI::App* command = study.add_subcommand(name, help)->fallthrough();
  command->add_option("study", flags.file, "Study file (docs/reference/study-file.md)")->required()->type_name("STUDY.yaml");
  return command;
}

}  // namespace

void AddStudyCommands(CLI::App& app, Cli& cli) {
  CLI::App* study = app.add_subcommand("study", "Many jobs from one file, compared honestly")->fallthrough();
  study->require_subcommand(1);
  const auto flags = std::make_shared<StudyFlags>();
  CLI::App* run = AddStudyPart(*study, *flags, "run", "Submit the jobs that are missing, and follow all of them to their end");
  CLI::Option* parallel = run->add_option("--parallel", flags->parallel, "At most this many unfinished jobs at once")
                              ->type_name("N")
                              ->check(CLI::Range(1, 10'000));
  CLI::Option* detach = run->add_flag("--detach", flags->detach, "Submit all jobs and return");
  parallel->excludes(detach);
  run->add_flag("--retry", flags->retry, "Submit the jobs again that failed or were cancelled before");
  run->callback([&cli, flags] { cli.action = [&cli, flags] { return RunStudy(cli, *flags); }; });

  CLI::App* status = AddStudyPart(*study, *flags, "status", "Show how far the jobs of a study are");
  status->callback([&cli, flags] { cli.action = [&cli, flags] { return ShowStudy(cli, *flags); }; });

  CLI::App* report = AddStudyPart(*study, *flags, "report", "Write means, intervals and tests as Markdown, HTML and CSV");
  report->add_option("--out", flags->out, "Folder for the files, which are replaced; default: STUDY-report")->type_name("DIR");
  PrintsItsOwnFormat(report, cli);
  report->callback([&cli, flags] { cli.action = [&cli, flags] { return ReportStudy(cli, *flags); }; });
}

}  // namespace muster
