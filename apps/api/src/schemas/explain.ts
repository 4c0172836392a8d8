import { z } from '@hono/zod-openapi';
import { jobStateSchema } from './job.js';

const time = z.string().openapi({ format: 'date-time' });

const amount = z.number().optional();

const placeConstraintSchema = z
  .object({
    kind: z
      .enum(['drained', 'class_not_served', 'label', 'region', 'datacenter', 'too_small', 'no_room', 'reserved'])
      .openapi({
        description:
          '`too_small`: it would not hold the job if it were empty; `no_room`: others hold what it needs; `reserved`: it is kept free for another job, and this one is neither gone by then nor fits beside it.',
      }),
    measure: z.enum(['cpus', 'memory_mb', 'gpus']).optional(),
    wanted: z.union([z.number(), z.string(), z.array(z.string())]).optional(),
    has: z.union([z.number(), z.string()]).nullable().optional().openapi({
      description: 'Of `too_small` what there is, of `no_room` what is free; of GPUs those that would do.',
    }),
    label: z.string().optional(),
    class: z.string().optional(),
    for_job: z.string().nullable().optional().openapi({ description: 'Null: it is another user’s.' }),
    from: time.optional().openapi({ description: 'When that job gets it at the latest.' }),
  })
  .openapi('NodeConstraint');

const constraintSchema = z
  .object({
    kind: z
      .enum(['hold', 'back_off', 'dependency', 'no_node', 'no_node_for_class', 'quota', 'behind'])
      .openapi({ description: '`behind`: only the order is against it; others get what it could run on.' }),
    until: time.optional(),
    job: z.string().optional().openapi({ description: 'The job or array that it waits for.' }),
    condition: z.string().optional(),
    state: jobStateSchema.optional(),
    class: z.string().optional(),
    group: z.string().optional().openapi({ description: 'Whose quota: `user/NAME`, `class/small`, …' }),
    limit: z.enum(['max_running', 'max_cpus', 'max_memory_mb', 'max_gpus']).optional(),
    most: amount,
    holds: amount,
    wanted: amount,
  })
  .openapi('JobConstraint');

const nodeVerdictSchema = z
  .object({
    node: z.string(),
    fits_empty: z.boolean().openapi({ description: 'It could run there if nothing else did.' }),
    constraints: z.array(placeConstraintSchema).openapi({ description: 'Empty: the node could run it now.' }),
  })
  .openapi('NodeVerdict');

const changeSchema = z
  .object({
    kind: z.enum([
      ...(['lower', 'change_label', 'add_region', 'add_datacenter', 'change_gpu_type'] as const),
      ...(['release_hold', 'resume_node', 'raise_quota', 'raise_priority'] as const),
    ]),
    field: z.string().optional(),
    label: z.string().optional(),
    add: z.string().optional(),
    node: z.string().optional(),
    group: z.string().optional(),
    limit: z.string().optional(),
    quota: z
      .record(z.string(), z.unknown())
      .optional()
      .openapi({ description: 'The whole body for `PUT /v1/quotas`.' }),
    from: z.union([z.number(), z.string()]).optional(),
    to: z.union([z.number(), z.string()]).nullable().optional().openapi({ description: 'Null: without it.' }),
  })
  .openapi('Change');

const proposalSchema = z
  .object({
    changes: z.array(changeSchema).openapi({
      description: 'All of them together. Those of the spec mean: cancel the job, and submit it with `merge_patch`.',
    }),
    merge_patch: z
      .record(z.string(), z.unknown())
      .nullable()
      .openapi({ description: 'What of the spec changes (RFC 7396). Null: nothing.' }),
    nodes: z.array(z.string()).openapi({ description: 'It starts on one of these.' }),
    in_any_order: z.boolean().openapi({
      description: 'It starts whichever machine asks first. False: there were too many orders to try them all.',
    }),
  })
  .openapi('ProposedChange');

const windowSchema = z
  .object({
    p10: time,
    p90: time,
    evidence: z.object({
      method: z.enum(['simulated', 'estimated']).openapi({
        description: '`simulated`: job by job from now on; `estimated`: the work before it over what there is.',
      }),
      samples: z.number().int().openapi({ description: 'Run times of its user and class that were learned from.' }),
      jobs_ahead: z.number().int(),
      running: z.number().int(),
      assumptions: z.array(z.string()),
    }),
  })
  .openapi('StartWindow');

const shareFields = {
  weight: z.number(),
  used_share_seconds: z.number().openapi({ description: 'What is left of the use: seconds of the whole cluster.' }),
};

const shared = {
  summary: z.string().openapi({ description: 'One sentence for people.' }),
  at: time.openapi({ description: 'When this was so, by the clock of Redis.' }),
  starts_now: z.boolean().openapi({ description: 'Nothing is against it: a machine takes it next.' }),
  constraints: z.array(constraintSchema).openapi({ description: 'What keeps it back wherever it would run.' }),
  nodes: z.array(nodeVerdictSchema).openapi({ description: 'What keeps it from each node.' }),
  lost_nodes: z.array(z.string()),
  change: proposalSchema.nullable().openapi({ description: 'The smallest change that would let it start now.' }),
  no_change: z.string().nullable().openapi({ description: 'Why there is none.' }),
  start_window: windowSchema.nullable().openapi({
    description: 'When it will start, as things are. Null: not without a change, or not before something else.',
  }),
  position: z
    .object({
      jobs_ahead_of_same_shape: z.number().int(),
      jobs_ahead_of_same_user: z.number().int(),
      users_ahead: z.number().int().openapi({ description: 'Users of the class with less use for their weight.' }),
      jobs_waiting_in_class: z.number().int(),
    })
    .nullable()
    .openapi({ description: 'Null: it does not wait for a machine yet.' }),
  fair_share: z
    .object({
      ...shareFields,
      ahead: z
        .array(z.object({ user: z.string().nullable(), ...shareFields }))
        .openapi({ description: 'The first 5 users who come before; names are for operators.' }),
    })
    .nullable()
    .openapi({ description: 'Null: it does not wait for a machine, or its class does not go by fair share.' }),
  complete: z.boolean().openapi({ description: 'False: so many shapes wait that only the first were looked at.' }),
};

export const explanationSchema = z
  .object({ job_id: z.string().openapi({ format: 'uuid' }), state: jobStateSchema, ...shared })
  .openapi('Explanation');

export const simulationSchema = z
  .object({
    class: z.string(),
    fits: z.boolean().openapi({ description: 'Some node could run it, if not now.' }),
    ...shared,
    delays: z.object({
      count: z.number().int().openapi({ description: 'Jobs that would start later, as far as one can see.' }),
      job_ids: z.array(z.string()).openapi({ description: 'The first 20 that the asker may see.' }),
    }),
  })
  .openapi('Simulation');

export type ConstraintAnswer = z.infer<typeof constraintSchema>;
export type PlaceConstraintAnswer = z.infer<typeof placeConstraintSchema>;
export type ChangeAnswer = z.infer<typeof changeSchema>;
