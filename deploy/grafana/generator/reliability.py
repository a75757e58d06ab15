"""Reliability: failures, their cost, and how close the servers are to their limits."""
from panels import Query, build_dashboard, lines, number, stacked

PER = "[$__rate_interval]"


def quantiles(metric, by=""):
    group = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return [Query(f"histogram_quantile({q}, sum by ({group}) (rate({metric}_bucket[30m])))", f"{legend}{name}")
            for q, name in ((0.5, "p50"), (0.99, "p99"))]


def build():
    return build_dashboard("muster-reliability", "Muster / Reliability", "Failures, what they cost, and how close the servers are to their limits.", {
        "Now": [
            number("Alerts", "short", 'count(ALERTS{alertname=~"Muster.*",alertstate="firing"}) or vector(0)', red_above=1),
            number("Servers up", "short", 'sum(up{job=~"(.*/)?muster-(coordinator|data)"})', red_below=2),
            number("Coordinator starts", "short", "max(muster_coordinator_epoch)"),
            number("Queries missing or repeated", "short", 'sum(muster_epoch_queries_total{kind=~"missing|duplicated"})', red_above=1),
            number("Ranks that disagreed", "short", "sum(muster_rank_disagreements_total)", red_above=1),
            number("State volume free", "percentunit", "min(muster:state_free:ratio)", red_below=0.05),
            number("Request error ratio", "percentunit", "max(muster:rpc_errors:ratio_rate5m)", red_above=0.01),
            number("Certificates expire in", "s", "min(muster_certificate_expiry_timestamp_seconds) - time()", red_below=14 * 86400),
        ],
        "Alerts": [
            stacked("Firing alerts", "short",
                    Query('count by (alertname) (ALERTS{alertname=~"Muster.*",alertstate="firing"}) or vector(0)', "{{alertname}}"),
                    width=24, height=5, whole=True),
        ],
        "Attempts": [
            stacked("Attempts that ended", "short", Query(f"sum by (end) (increase(muster_attempts_total{PER}))", "{{end}}")),
            stacked("Rank processes that ended", "short", Query(f"sum by (cause) (increase(muster_agent_rank_exits_total{PER}))", "{{cause}}")),
            lines("Recovery time", "s", *quantiles("muster_recovery_seconds"), description="From the end of a failed attempt to the first step of the next one, over 30 minutes."),
            stacked("Slot-seconds lost", "none", Query(f'rate(muster_goodput_seconds_total{{phase="lost"}}{PER})', "lost"),
                    description="Per second: work since the last checkpoint of attempts that failed."),
            lines("Workers that fell silent", "short", Query("increase(muster_worker_silences_total[30m])", "within 30 minutes")),
            lines("Messages of ended attempts", "ops", Query(f"sum by (instance, kind) (rate(muster_stale_requests_total{PER}))", "{{instance}} {{kind}}"),
                  description="These are refused and have no effect. Many of them for minutes mean that some process keeps working on an ended attempt."),
        ],
        "Samples": [
            lines("Queries applied to the weights", "short", Query("sum by (kind) (muster_epoch_queries_total)", "{{kind}}"), width=12,
                  description="committed grows by the queries of each epoch; duplicated and missing must stay at 0."),
            lines("Checkpoints", "short", Query(f"increase(muster_checkpoints_total{PER})", "saved"), width=6),
            lines("Checkpoint duration", "s", *quantiles("muster_checkpoint_seconds"), width=6),
            lines("Checkpoint bytes written", "Bps", Query(f"rate(muster_checkpoint_bytes_total{PER})", "written")),
            lines("Ranks that disagreed", "short", Query("muster_rank_disagreements_total", "attempts"), whole=True),
            lines("Data server traffic", "Bps", Query(f"sum by (direction) (rate(muster_blob_bytes_total{PER}))", "{{direction}}")),
        ],
        "Coordinator": [
            lines("Journal flush time", "s", *quantiles("muster_journal_write_seconds")),
            lines("Event loop turn", "s", *quantiles("muster_event_loop_turn_seconds")),
            lines("Placement time", "s", *quantiles("muster_placement_seconds")),
            lines("Requests", "reqps", Query("sum by (instance, method) (muster:rpc_requests:rate5m)", "{{instance}} {{method}}")),
            lines("Request latency", "s", Query("muster:rpc_seconds:p99_rate5m", "{{instance}} p99")),
            lines("Request error ratio", "percentunit", Query("muster:rpc_errors:ratio_rate5m", "{{instance}}")),
            lines("Requests by code", "reqps", Query(f"sum by (code) (rate(muster_rpc_requests_total{PER}))", "{{code}}")),
            lines("Rejected requests", "reqps", Query(f"sum by (instance, reason) (rate(muster_rpc_rejections_total{PER}))", "{{instance}} {{reason}}")),
        ],
        "Volumes": [
            lines("State volume free", "percentunit", Query("muster:state_free:ratio", "{{instance}}")),
            lines("State volume free", "bytes", Query("muster_state_free_bytes", "{{instance}}")),
            stacked("What the data server stores", "bytes", Query("sum by (kind) (muster_store_bytes)", "{{kind}}")),
            lines("Datasets and models", "short", Query("muster_datasets", "datasets"), Query("muster_models", "models"), whole=True),
            lines("Garbage collected", "Bps", Query(f"sum by (kind) (rate(muster_garbage_bytes_total{PER}))", "{{kind}}")),
            lines("Certificates expire in", "s", Query("muster_certificate_expiry_timestamp_seconds - time()", "{{instance}}")),
        ],
        "Data server and agents": [
            lines("Planning time per step", "s", *quantiles("muster_plan_seconds")),
            lines("Step shares sent", "ops", Query(f"rate(muster_stream_steps_total{PER})", "{{instance}}")),
            lines("Bytes sent to ranks", "Bps", Query(f"rate(muster_stream_bytes_total{PER})", "{{instance}}")),
            lines("Agents connected", "short", Query("muster_agent_connected", "{{instance}}"), whole=True),
            lines("Agent sessions", "short", Query("increase(muster_agent_sessions_total[30m])", "{{instance}} within 30 minutes")),
            lines("Unacknowledged reports", "short", Query("muster_agent_reports_pending", "{{instance}}"), whole=True),
        ],
    })
