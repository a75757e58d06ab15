#include "client/shell/examples.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/flags/explain.h"

namespace muster {

const std::map<std::string, std::vector<std::string>>& Examples() {
  static const auto* const kExamples = new std::map<std::string, std::vector<std::string>>{
      {"", {"muster status", "muster submit job.yaml --wait"}},
      {"init", {"muster init job.yaml --model minilm --data scifact", "muster init job.yaml --from args.yaml"}},
      {"explain", {"muster explain", "muster explain loss.temperature"}},
      {"submit", {"muster submit job.yaml --wait", "muster submit job.yaml --set loss.temperature=0.02 --dry-run"}},
      {"status", {"muster status"}},
      {"jobs", {"muster jobs --active", "muster jobs --user ada --phase failed --since 24"}},
      {"job", {"muster job rm first"}},
      {"job rm", {"muster job rm first", "muster job rm k3v9x0qa --yes"}},
      {"get", {"muster get first", "muster get first --metrics csv", "muster get first --query-values values.csv"}},
      {"watch", {"muster watch first --timeout 3600"}},
      {"logs", {"muster logs -f first", "muster logs first --rank 0 --attempt 2"}},
      {"metrics", {"muster metrics first --after 1000"}},
      {"cancel", {"muster cancel first"}},
      {"pause", {"muster pause first"}},
      {"resume", {"muster resume first"}},
      {"data", {"muster data list"}},
      {"data import", {"muster data import scifact beir/scifact", "muster data import faq --split train=a.jsonl --split test=b.jsonl"}},
      {"data add", {"muster data add faq labels.jsonl --source llm"}},
      {"data list", {"muster data list"}},
      {"data show", {"muster data show faq --split test --queries 10"}},
      {"data report", {"muster data report faq --report faq.html"}},
      {"data export", {"muster data export faq faq-files --format jsonl"}},
      {"data rm", {"muster data rm faq"}},
      {"models", {"muster models list"}},
      {"models push", {"muster models push minilm all-MiniLM-L6-v2"}},
      {"models list", {"muster models list"}},
      {"models show", {"muster models show minilm"}},
      {"models rm", {"muster models rm minilm"}},
      {"export", {"muster export first my-model", "muster export first my-model --step 200"}},
      {"trace", {"muster trace first trace.json"}},
      {"eval",
       {"muster eval minilm scifact", "muster eval job:first scifact --split test", "muster eval job:first@200 scifact",
        "muster eval minilm scifact msmarco/dev",
        "muster eval minilm scifact --metric precision@5 --run-depth 100 --out results"}},
      {"mine",
       {"muster mine scifact --model minilm --out scifact-mined",
        "muster mine scifact --model job:first --out scifact-mined --ranks 10-100 --sampling random --per-query 8"}},
      {"score", {"muster score bm25.run trained.run --qrels qrels/test.tsv", "muster score trained.run --qrels qrels.txt --metric precision@5"}},
      {"compare",
       {"muster compare bm25.run trained.run --qrels qrels/test.tsv",
        "muster compare a.run.gz b.run.gz --qrels qrels.txt --metric ndcg@10 --metric recall@100 --per-query values.csv",
        "muster compare first second third --metric ndcg@10 --metric mrr"}},
      {"report", {"muster report first", "muster report first second --out objectives.html"}},
      {"workers", {"muster workers"}},
      {"queues", {"muster queues"}},
      {"drain", {"muster drain gpu-7 --now", "muster drain gpu-7 --undo"}},
      {"certs", {"muster certs show certs"}},
      {"certs init", {"muster certs init authority"}},
      {"certs issue",
       {"muster certs issue authority --role worker --name gpu-7 --out gpu-7",
        "muster certs issue authority --role coordinator --name coordinator --out coordinator --host muster.example.org"}},
      {"certs show", {"muster certs show gpu-7"}},
      {"certs renew", {"muster certs renew authority gpu-7"}},
      {"certs bundle", {"muster certs bundle gpu-7 authority next-authority"}},
      {"backup", {"muster backup list /backups/muster"}},
      {"backup take", {"muster backup take /backups/muster --keep 7"}},
      {"backup list", {"muster backup list /backups/muster"}},
      {"backup verify", {"muster backup verify /backups/muster"}},
      {"restore", {"muster restore /backups/muster --coordinator state/coordinator --data state/data"}},
      {"tokens", {"muster tokens list --file tokens.yaml"}},
      {"tokens issue", {"muster tokens issue --file tokens.yaml --user ada --role submitter --out ada.token"}},
      {"tokens list", {"muster tokens list --file tokens.yaml"}},
      {"tokens revoke", {"muster tokens revoke --file tokens.yaml --user ada"}},
      {"gc", {"muster gc --dry-run"}},
      {"operations", {"muster operations --active"}},
      {"study", {"muster study pilot.yaml", "muster study report pilot.yaml"}},
      {"study run", {"muster study run pilot.yaml --parallel 4", "muster study run pilot.yaml --detach"}},
      {"study status", {"muster study status pilot.yaml"}},
      {"study report", {"muster study report pilot.yaml --out pilot"}},
      {"operation", {"muster operation cancel import-k3v9x0qa"}},
      {"operation get", {"muster operation get import-k3v9x0qa"}},
      {"operation cancel", {"muster operation cancel import-k3v9x0qa"}},
      {"doctor", {"muster doctor", "muster doctor --worker --slots 2"}},
      {"local", {"muster local --slots 2", "muster local -- muster submit job.yaml --wait"}},
      {"completion", {"muster completion bash"}},
      {"manual", {"muster manual"}},
      {"version", {"muster version"}},
  };
  return *kExamples;
}

void AddExamples(CLI::App& app) {
  const std::string words(absl::StripPrefix(absl::StripPrefix(CommandPath(app), "muster"), " "));
  const auto found = Examples().find(words);
  // A command without examples does not inherit those of the command above it.
  app.footer(found == Examples().end() ? "" : absl::StrCat("Example:\n  ", absl::StrJoin(found->second, "\n  ")));
  for (CLI::App* command : CommandsOf(app)) AddExamples(*command);
}

}  // namespace muster
