// The path of a report's values by query, next to the step log: rank 0 writes it, and the client reads it
// (client/query_values.h). CSV with the columns `query` (its number in the evaluation, from 0) and one per metric; one line per
// query that has a relevant document.
#pragma once

namespace muster {

inline constexpr char kQueryValuesFile[] = "report_queries.csv";

}  // namespace muster
