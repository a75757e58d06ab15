"""Fleet and queue: known workers, waiting jobs, the use of slot-seconds, health of the GPUs."""
from panels import Query, build_dashboard, lines, number, rows_of, stacked


def build():
    return build_dashboard("muster-fleet", "Muster / Fleet and queue", "Workers, slots, queues, goodput and GPUs.", {
        "Now": [
            number("Workers ready", "short", 'sum(muster_workers{state="ready"})', red_below=1),
            number("Workers silent", "short", 'sum(muster_workers{state="silent"})', red_above=1),
            number("Slots in use", "percentunit", "avg(muster:slots:used_ratio)"),
            number("Jobs running", "short", 'sum(muster_queue_jobs{state="running"})'),
            number("Jobs waiting", "short", 'sum(muster_queue_jobs{state="waiting"})'),
            number("Oldest wait", "s", "max(muster_queue_oldest_wait_seconds)"),
            number("Goodput", "percentunit", "avg(muster:goodput:ratio_rate5m)",
                   description="Share of the slot time of the last 5 minutes that was spent on training steps."),
            number("Alerts", "short", 'count(ALERTS{alertname=~"Muster.*",alertstate="firing"}) or vector(0)', red_above=1),
        ],
        "Jobs": [
            rows_of("Running jobs",
                    Query("muster_job_info"),
                    Query("sum by (job) (muster_job_step)", "step"),
                    Query("sum by (job) (muster_job_slots)", "slots"),
                    Query("sum by (job) (muster_job_loss)", "loss"), width=24, height=6),
            stacked("Jobs by phase", "short", Query('sum by (phase) (muster_jobs{phase!~"succeeded|failed|cancelled"})', "{{phase}}"), whole=True),
            stacked("Jobs that ended", "short",
                    Query('sum by (phase) (increase(muster_job_transitions_total{phase=~"succeeded|failed|cancelled"}[$__rate_interval]))', "{{phase}}")),
            lines("Scheduling decisions", "ops", Query("sum by (result) (rate(muster_scheduling_decisions_total[$__rate_interval]))", "{{result}}")),
        ],
        "Queue": [
            stacked("Jobs by queue", "short", Query("sum by (queue, state) (muster_queue_jobs)", "{{queue}} {{state}}"), whole=True),
            lines("Oldest wait by queue", "s", Query("max by (queue) (muster_queue_oldest_wait_seconds)", "{{queue}}")),
            lines("Waiting time until slots are assigned", "s",
                  Query("histogram_quantile(0.5, sum by (le) (rate(muster_queue_wait_seconds_bucket[1h])))", "p50"),
                  Query("max(muster:queue_wait_seconds:p90_rate1h)", "p90"), description="Quantiles over the last hour."),
        ],
        "Fleet": [
            stacked("Slots", "short", Query("sum by (state) (muster_slots)", "{{state}}"), whole=True),
            stacked("Workers", "short", Query("sum by (state) (muster_workers)", "{{state}}"), whole=True),
            lines("Time since the last heartbeat", "s", Query("max by (worker) (muster_heartbeat_age_seconds)", "{{worker}}"),
                  description="Agents send a heartbeat every 3 s. After 15 s without one a worker counts as silent."),
            stacked("Slots by what they are used for", "none",
                    Query("sum by (phase) (rate(muster_goodput_seconds_total[$__rate_interval]))", "{{phase}}"), width=16,
                    description="queue: slots that waiting jobs need; lost: work since the last checkpoint of attempts that failed."),
            lines("Goodput", "percentunit", Query("avg(muster:goodput:ratio_rate5m)", "training / held")),
        ],
        "Workers": [
            lines("Rank processes", "short", Query("sum by (instance) (muster_agent_ranks_running)", "{{instance}}"), whole=True),
            lines("Memory of ranks", "bytes", Query("sum by (instance, slot) (muster_rank_resident_bytes)", "{{instance}} slot {{slot}}")),
            lines("Cores used by ranks", "none",
                  Query("sum by (instance, slot) (rate(muster_rank_cpu_seconds_total[$__rate_interval]))", "{{instance}} slot {{slot}}")),
        ],
        "GPUs": [
            lines("GPU utilization", "percentunit", Query("muster_gpu_utilization_ratio", "{{instance}} gpu {{gpu}}")),
            lines("GPU memory in use", "percentunit", Query("muster_gpu_memory_used_bytes / muster_gpu_memory_size_bytes", "{{instance}} gpu {{gpu}}")),
            lines("GPU temperature", "celsius", Query("muster_gpu_temperature_celsius", "{{instance}} gpu {{gpu}}")),
            lines("GPU throttled", "none", Query("muster_gpu_throttled > 0", "{{instance}} gpu {{gpu}} {{reason}}"), width=12),
            lines("GPU errors", "short", Query("increase(muster_gpu_errors_total[1h])", "{{instance}} gpu {{gpu}} {{kind}}"), width=12,
                  description="Errors within the last hour."),
        ],
    })
