/**
 * What brings a database up to date, in order; the place in this list, from 1, is the version. What was once released is never changed: a change is
 * another entry. Each runs in one transaction with its note in `migrations`, so it has run whole or not at all.
 *
 * Lists are read newest first, by id: ids begin with the time. So each index ends with it, and a page is one walk along one index, however rare
 * what is asked for is. `json` and not `jsonb`, which would refuse some texts that a job may hold and put its fields in another order.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    user_name text NOT NULL,
    state text NOT NULL,
    cause text,
    class text NOT NULL,
    name text,
    format text NOT NULL,
    exit_code integer,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    record json NOT NULL
  );
  CREATE INDEX jobs_by_user ON jobs (user_name, id);
  CREATE INDEX jobs_by_user_and_state ON jobs (user_name, state, id);
  CREATE INDEX jobs_by_state ON jobs (state, id);
  CREATE INDEX jobs_by_class ON jobs (class, id);
  CREATE INDEX jobs_by_cause ON jobs (cause, id) WHERE cause IS NOT NULL;
  CREATE INDEX jobs_by_name ON jobs (name, id) WHERE name IS NOT NULL;
  CREATE INDEX jobs_by_format ON jobs (format, id) WHERE format <> 'v1';
  CREATE INDEX jobs_by_end ON jobs (finished_at);

  CREATE TABLE job_labels (
    label text NOT NULL,
    id uuid NOT NULL,
    user_name text NOT NULL,
    PRIMARY KEY (label, id)
  );
  CREATE INDEX job_labels_by_user ON job_labels (user_name, label, id);

  CREATE TABLE job_usage (
    node text NOT NULL,
    id uuid NOT NULL,
    is_first boolean NOT NULL,
    user_name text NOT NULL,
    class text NOT NULL,
    finished_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    run_ms bigint NOT NULL,
    cpu_ms bigint NOT NULL,
    cpu_reserved_ms bigint NOT NULL,
    memory_mb_ms bigint NOT NULL,
    gpu_ms bigint NOT NULL,
    PRIMARY KEY (node, id)
  );
  COMMENT ON TABLE job_usage IS
    'Of each job one row a node that it ran on, or one with an empty node where it never started. is_first: the one row by which the job is counted.';
  CREATE INDEX job_usage_by_end ON job_usage (finished_at);
  CREATE INDEX job_usage_by_user ON job_usage (user_name, finished_at);
  `,
];
