"""One job: its training progress and speed, and how much work a failure would lose."""
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
            number("Queries per second", "short", of_job("muster_job_queries_per_second")),
            number("Slots", "short", of_job("muster_job_slots")),
            number("Attempt", "short", of_job("muster_job_attempt"), red_above=3),
            number("Checkpoint age", "s", of_job("muster_job_checkpoint_age_seconds"), red_above=3600,
                   description="How much work a failure now would lose."),
        ],
        "Learning": [
            lines("Loss", "none", Query(of_job("muster_job_loss"), "loss")),
            lines("Evaluation", "none", Query(of_job("muster_job_evaluation"), "{{metric}}, {{dataset}} {{split}}")),
            lines("Learning rate", "sci", Query(of_job("muster_job_learning_rate"), "learning rate")),
            lines("Gradient norm", "none", Query(of_job("muster_job_gradient_norm"), "before clipping"), log=True),
            lines("Steps", "short", Query(of_job("muster_job_step"), "done"), Query(of_job("muster_job_total_steps"), "planned")),
            lines("Epochs", "none", Query(of_job("muster_job_epoch"), "epoch")),
        ],
        "Several positives": [
            lines("Positives that carry the gradient", "none", Query(of_job("muster_job_effective_positives"), "effective positives"),
                  description="How many positives per query share the gradient (exp of the entropy of their weights): 1 if one positive "
                              "gets all of it, k if k positives share it evenly."),
            lines("Entropy of the gradient over a query's positives", "none", Query(of_job("muster_job_positive_entropy_nats"), "nats")),
            lines("Gradient by place of the positive", "percentunit", Query(of_job("muster_job_positive_weight"), "place {{place}}"),
                  description="Mean share of the gradient over a query's positives that its most similar positive has (place 1), "
                              "the second most similar one, and so on."),
            lines("Gradient on injected false positives", "percentunit", Query(of_job("muster_job_noise_weight"), "share"),
                  description="With data.noise: share of the gradient over positives that falls on those which the noise put there."),
            lines("Mean similarity", "none", Query(of_job("muster_job_mean_similarity"), "{{kind}}")),
            lines("Ignored pairs", "short", Query(of_job("muster_job_ignored_pairs"), "in the last step"), width=24, height=5,
                  description="Pairs of a query and a passage that count as neither positive nor negative, for example other known positives of the query."),
        ],
        "Speed": [
            lines("Queries per second", "short", Query(of_job("muster_job_queries_per_second"), "queries")),
            lines("Tokens per second", "short", Query(of_job("muster_job_tokens_per_second"), "tokens")),
            stacked("Step time by phase", "s", Query(of_job("muster_job_step_seconds"), "{{phase}}")),
            lines("Rank skew", "s", Query(of_job("muster_job_rank_skew_seconds"), "slowest minus fastest"),
                  description="The slowest rank's own work in a step minus the fastest one's. If it stays high, one host or GPU is slow."),
            lines("Compute efficiency", "percentunit", Query(of_job("muster_job_product_share"), "share of a large matrix product"),
                  description="Floating-point operations per second of rank 0's step, divided by those of a large matrix product "
                              "measured when the attempt started."),
            lines("Peak memory", "bytes", Query(of_job("muster_job_peak_memory_bytes"), "rank 0")),
            lines("Gathered embeddings", "bytes", Query(of_job("muster_job_gathered_bytes"), "per step")),
            lines("Slots", "short", Query(of_job("muster_job_slots"), "slots"), whole=True),
        ],
        "Health": [
            lines("Checkpoint age", "s", Query(of_job("muster_job_checkpoint_age_seconds"), "since the last checkpoint")),
            lines("Checkpoint step", "short", Query(of_job("muster_job_checkpoint_step"), "checkpoint"), Query(of_job("muster_job_step"), "now")),
            lines("Time since the last progress", "s", Query(of_job("muster_job_progress_age_seconds"), "age"),
                  description="After 120 s without progress the attempt ends and the next one starts."),
            lines("Attempt", "short", Query(of_job("muster_job_attempt"), "attempt"), whole=True),
            lines("Waiting for slots", "s", Query(of_job("muster_job_waiting_seconds"), "waited")),
            stacked("Slots of all jobs by what they are used for", "none",
                    Query("sum by (phase) (rate(muster_goodput_seconds_total[$__rate_interval]))", "{{phase}}")),
        ],
    }, [job_variable()])
