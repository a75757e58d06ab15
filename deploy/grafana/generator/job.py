"""One job: what it learns, how fast, and what a failure would cost."""
from panels import Query, build_dashboard, job_variable, lines, number, stacked


def of_job(metric, more=""):
    return f'{metric}{{job="$job"{more}}}'


def build():
    return build_dashboard("muster-job", "Muster / Job", "Loss, evaluation, throughput and health of one job.", {
        "Now": [
            number("Step", "short", of_job("muster_job_step")),
            number("Done", "percentunit", f'{of_job("muster_job_step")} / {of_job("muster_job_total_steps")}'),
            number("Epoch", "none", of_job("muster_job_epoch")),
            number("Loss", "none", of_job("muster_job_loss")),
            number("Queries a second", "short", of_job("muster_job_queries_per_second")),
            number("Slots", "short", of_job("muster_job_slots")),
            number("Attempt", "short", of_job("muster_job_attempt"), red_above=3),
            number("Checkpoint's age", "s", of_job("muster_job_checkpoint_age_seconds"), red_above=3600,
                   description="The work that a failure now would cost."),
        ],
        "Learning": [
            lines("Loss", "none", Query(of_job("muster_job_loss"), "loss")),
            lines("Evaluation", "none", Query(of_job("muster_job_evaluation"), "{{metric}}, {{dataset}} {{split}}")),
            lines("Learning rate", "sci", Query(of_job("muster_job_learning_rate"), "learning rate")),
            lines("Norm of the gradient", "none", Query(of_job("muster_job_gradient_norm"), "before clipping"), log=True),
            lines("Steps", "short", Query(of_job("muster_job_step"), "done"), Query(of_job("muster_job_total_steps"), "planned")),
            lines("Progress through the data", "none", Query(of_job("muster_job_epoch"), "epoch")),
        ],
        "Several positives": [
            lines("Positives that carry the gradient", "none", Query(of_job("muster_job_effective_positives"), "effective positives"),
                  description="The exponential of the entropy of the gradient's weight over a query's positives: 1 is one positive that "
                              "gets all of it, k is k positives that share it evenly."),
            lines("Entropy of the gradient over positives", "none", Query(of_job("muster_job_positive_entropy_nats"), "nats")),
            lines("Mean similarity", "none", Query(of_job("muster_job_mean_similarity"), "{{kind}}")),
            lines("Pairs left out", "short", Query(of_job("muster_job_ignored_pairs"), "of the last step"), width=24, height=5,
                  description="Passages of other queries that are known to be positive for this one: neither positive nor negative."),
        ],
        "Speed": [
            lines("Queries a second", "short", Query(of_job("muster_job_queries_per_second"), "queries")),
            lines("Tokens a second", "short", Query(of_job("muster_job_tokens_per_second"), "tokens")),
            stacked("Seconds of a step by phase", "s", Query(of_job("muster_job_step_seconds"), "{{phase}}")),
            lines("Skew of ranks", "s", Query(of_job("muster_job_rank_skew_seconds"), "slowest minus fastest"),
                  description="Of a rank's own work in the last step. A skew that stays names a slow host or GPU."),
            lines("Share of the product rate", "percentunit", Query(of_job("muster_job_product_share"), "of a large product"),
                  description="Floating-point operations per second of rank 0's step, over those of a large matrix product that it "
                              "measured when the attempt began."),
            lines("Peak memory", "bytes", Query(of_job("muster_job_peak_memory_bytes"), "rank 0")),
            lines("Gathered between ranks", "bytes", Query(of_job("muster_job_gathered_bytes"), "a step")),
            lines("Slots", "short", Query(of_job("muster_job_slots"), "slots"), whole=True),
        ],
        "Health": [
            lines("Checkpoint's age", "s", Query(of_job("muster_job_checkpoint_age_seconds"), "since the last")),
            lines("Checkpoint's step", "short", Query(of_job("muster_job_checkpoint_step"), "checkpoint"), Query(of_job("muster_job_step"), "now")),
            lines("Since the last sign of progress", "s", Query(of_job("muster_job_progress_age_seconds"), "age"),
                  description="After 120 s the attempt ends and the next one starts."),
            lines("Attempt", "short", Query(of_job("muster_job_attempt"), "attempt"), whole=True),
            lines("Waiting for slots", "s", Query(of_job("muster_job_waiting_seconds"), "waited")),
            stacked("Slot-seconds a second of all jobs, by what they went to", "none",
                    Query("sum by (phase) (rate(muster_goodput_seconds_total[$__rate_interval]))", "{{phase}}")),
        ],
    }, [job_variable()])
