"""Reliability: what failed, what it cost, and how near the servers are to their limits."""
from panels import Query, build_dashboard, lines, number, stacked

PER = "[$__rate_interval]"


def quantiles(metric, by=""):
    group = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return [Query(f"histogram_quantile({q}, sum by ({group}) (rate({metric}_bucket[30m])))", f"{legend}{name}")
            for q, name in ((0.5, "half"), (0.99, "99 of 100"))]


def build():
    return build_dashboard("muster-reliability", "Muster / Reliability", "Failures and what they cost; the servers' limits.", {
        "Now": [
            number("Alerts", "short", 'count(ALERTS{alertname=~"Muster.*",alertstate="firing"}) or vector(0)', red_above=1),
            number("Servers up", "short", 'sum(up{job=~"(.*/)?muster-(coordinator|data)"})', red_below=2),
            number("Starts of the coordinator", "short", "max(muster_coordinator_epoch)"),
            number("Queries missing or repeated", "short", 'sum(muster_epoch_queries_total{kind=~"missing|duplicated"})', red_above=1),
            number("Ranks that disagreed", "short", "sum(muster_rank_disagreements_total)", red_above=1),
            number("State volume free", "percentunit", "min(muster:state_free:ratio)", red_below=0.05),
            number("Errors of requests", "percentunit", "max(muster:rpc_errors:ratio_rate5m)", red_above=0.01),
            number("Certificates expire in", "s", "min(muster_certificate_expiry_timestamp_seconds) - time()", red_below=14 * 86400),
        ],
        "Alerts": [
            stacked("Alerts that fire", "short",
                    Query('count by (alertname) (ALERTS{alertname=~"Muster.*",alertstate="firing"}) or vector(0)', "{{alertname}}"),
                    width=24, height=5, whole=True),
        ],
        "Attempts": [
            stacked("Ends of attempts", "short", Query(f"sum by (end) (increase(muster_attempts_total{PER}))", "{{end}}")),
            stacked("Ends of rank processes", "short", Query(f"sum by (cause) (increase(muster_agent_rank_exits_total{PER}))", "{{cause}}")),
            lines("From an end to the next step", "s", *quantiles("muster_recovery_seconds"), description="Over 30 minutes."),
            stacked("Slot-seconds lost", "none", Query(f'rate(muster_goodput_seconds_total{{phase="lost"}}{PER})', "lost"),
                    description="A second: work since the last checkpoint of attempts that failed."),
            lines("Workers that fell silent", "short", Query("increase(muster_worker_silences_total[30m])", "within 30 minutes")),
            lines("Messages of ended attempts", "ops", Query(f"sum by (instance, kind) (rate(muster_stale_requests_total{PER}))", "{{instance}} {{kind}}"),
                  description="Refused without effect; many for minutes are a process that was not fenced."),
        ],
        "Samples": [
            lines("Queries that had their effect", "short", Query("sum by (kind) (muster_epoch_queries_total)", "{{kind}}"), width=12,
                  description="committed grows by the queries of each epoch; the other two stay at 0."),
            lines("Checkpoints", "short", Query(f"increase(muster_checkpoints_total{PER})", "saved"), width=6),
            lines("Seconds of a checkpoint", "s", *quantiles("muster_checkpoint_seconds"), width=6),
            lines("Bytes of checkpoints", "Bps", Query(f"rate(muster_checkpoint_bytes_total{PER})", "written")),
            lines("Ranks that disagreed", "short", Query("muster_rank_disagreements_total", "attempts"), whole=True),
            lines("Bytes moved by the data server", "Bps", Query(f"sum by (direction) (rate(muster_blob_bytes_total{PER}))", "{{direction}}")),
        ],
        "Coordinator": [
            lines("Flush of the journal", "s", *quantiles("muster_journal_write_seconds")),
            lines("Turn of the event loop", "s", *quantiles("muster_event_loop_turn_seconds")),
            lines("Look at the queue", "s", *quantiles("muster_placement_seconds")),
            lines("Requests", "reqps", Query("sum by (instance, method) (muster:rpc_requests:rate5m)", "{{instance}} {{method}}")),
            lines("Seconds of a request", "s", Query("muster:rpc_seconds:p99_rate5m", "{{instance}} 99 of 100")),
            lines("Errors of requests", "percentunit", Query("muster:rpc_errors:ratio_rate5m", "{{instance}}")),
            lines("Requests by code", "reqps", Query(f"sum by (code) (rate(muster_rpc_requests_total{PER}))", "{{code}}")),
            lines("Requests turned away", "reqps", Query(f"sum by (instance, reason) (rate(muster_rpc_rejections_total{PER}))", "{{instance}} {{reason}}")),
        ],
        "Volumes": [
            lines("State volume free", "percentunit", Query("muster:state_free:ratio", "{{instance}}")),
            lines("State volume free", "bytes", Query("muster_state_free_bytes", "{{instance}}")),
            stacked("What the data server keeps", "bytes", Query("sum by (kind) (muster_store_bytes)", "{{kind}}")),
            lines("Datasets and models", "short", Query("muster_datasets", "datasets"), Query("muster_models", "models"), whole=True),
            lines("Garbage collected", "Bps", Query(f"sum by (kind) (rate(muster_garbage_bytes_total{PER}))", "{{kind}}")),
            lines("Certificates expire in", "s", Query("muster_certificate_expiry_timestamp_seconds - time()", "{{instance}}")),
        ],
        "Data server and agents": [
            lines("Planning a step", "s", *quantiles("muster_plan_seconds")),
            lines("Shares of steps sent", "ops", Query(f"rate(muster_stream_steps_total{PER})", "{{instance}}")),
            lines("Bytes of shares sent", "Bps", Query(f"rate(muster_stream_bytes_total{PER})", "{{instance}}")),
            lines("Agents connected", "short", Query("muster_agent_connected", "{{instance}}"), whole=True),
            lines("Sessions of agents", "short", Query("increase(muster_agent_sessions_total[30m])", "{{instance}} within 30 minutes")),
            lines("Reports not yet acknowledged", "short", Query("muster_agent_reports_pending", "{{instance}}"), whole=True),
        ],
    })
