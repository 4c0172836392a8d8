/** One thing that is wrong with a request of a kept wire format, as FastAPI lists it: its clients read these. */
export interface RequestDetail {
  type: string;
  loc: (string | number)[];
  msg: string;
  input: unknown;
  ctx?: Record<string, unknown>;
}

export type Parsed<T> = { value: T; details?: never } | { value?: never; details: RequestDetail[] };

export interface IntegerBounds {
  ge?: number;
  le?: number;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A whole number as those services took it: also a string of digits, 3.0 and true. Undefined: none of these. */
const toInteger = (value: unknown): number | undefined => {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'string') return /^\s*[+-]?\d+(\.0+)?\s*$/.test(value) ? Number(value) : undefined;
  return typeof value === 'number' && Number.isInteger(value) ? value : undefined;
};

const toIntegerProblem = (value: unknown): Pick<RequestDetail, 'type' | 'msg'> => {
  const msg = 'Input should be a valid integer';
  if (typeof value === 'string') return { type: 'int_parsing', msg: `${msg}, unable to parse string as an integer` };
  if (typeof value === 'number') return { type: 'int_from_float', msg: `${msg}, got a number with a fractional part` };
  return { type: 'int_type', msg };
};

export const checkInteger = (input: unknown, loc: RequestDetail['loc'], { ge, le }: IntegerBounds): Parsed<number> => {
  const value = toInteger(input);
  if (value === undefined) return { details: [{ ...toIntegerProblem(input), loc, input }] };
  if (ge !== undefined && value < ge) {
    const msg = `Input should be greater than or equal to ${ge}`;
    return { details: [{ type: 'greater_than_equal', loc, msg, input, ctx: { ge } }] };
  }
  if (le !== undefined && value > le) {
    const msg = `Input should be less than or equal to ${le}`;
    return { details: [{ type: 'less_than_equal', loc, msg, input, ctx: { le } }] };
  }
  return { value };
};

const checkText = (input: unknown, loc: RequestDetail['loc']): Parsed<string> =>
  typeof input === 'string'
    ? { value: input }
    : { details: [{ type: 'string_type', loc, msg: 'Input should be a valid string', input }] };

const checkTexts = (input: unknown, loc: RequestDetail['loc']): Parsed<string[]> => {
  if (!Array.isArray(input))
    return { details: [{ type: 'list_type', loc, msg: 'Input should be a valid list', input }] };
  const details = input.flatMap((item, i) => checkText(item, [...loc, i]).details ?? []);
  return details.length > 0 ? { details } : { value: input as string[] };
};

const MISSING = { type: 'missing', msg: 'Field required' } as const;

/** Reads the fields of a body one by one and notes everything that is wrong. Where something is, what it gives is of no use. */
const createFieldReader = (body: Record<string, unknown>) => {
  const details: RequestDetail[] = [];
  const take = <T>(parsed: Parsed<T>, otherwise: T): T => {
    if (parsed.details) details.push(...parsed.details);
    return parsed.value ?? otherwise;
  };
  const has = (name: string): boolean => {
    const found = Object.hasOwn(body, name);
    if (!found) details.push({ ...MISSING, loc: ['body', name], input: body });
    return found;
  };
  const isGiven = (name: string): boolean => Object.hasOwn(body, name) && body[name] !== null;
  const text = (name: string): string => take(checkText(body[name], ['body', name]), '');
  const texts = (name: string): string[] => take(checkTexts(body[name], ['body', name]), []);
  const integer = (name: string, bounds: IntegerBounds): number =>
    take(checkInteger(body[name], ['body', name], bounds), 0);
  return {
    details,
    text: (name: string) => (has(name) ? text(name) : ''),
    texts: (name: string) => (has(name) ? texts(name) : []),
    integer: (name: string, bounds: IntegerBounds) => (has(name) ? integer(name, bounds) : 0),
    /** Absent: the default. A null is refused. */
    integerOr: (name: string, bounds: IntegerBounds, otherwise: number) =>
      Object.hasOwn(body, name) ? integer(name, bounds) : otherwise,
    optionalText: (name: string) => (isGiven(name) ? text(name) : null),
    optionalTexts: (name: string) => (isGiven(name) ? texts(name) : null),
    optionalInteger: (name: string, bounds: IntegerBounds) => (isGiven(name) ? integer(name, bounds) : null),
  };
};

type FieldReader = ReturnType<typeof createFieldReader>;

/** Parses a JSON body by reading its fields. */
export const parseFields = <T>(body: unknown, read: (fields: FieldReader) => T): Parsed<T> => {
  if (body === null || body === undefined) return { details: [{ ...MISSING, loc: ['body'], input: null }] };
  if (!isObject(body)) return { details: [toNotAnObject(body)] };
  const fields = createFieldReader(body);
  const value = read(fields);
  return fields.details.length > 0 ? { details: fields.details } : { value };
};

export const toNotAnObject = (input: unknown): RequestDetail => ({
  type: 'model_attributes_type',
  loc: ['body'],
  msg: 'Input should be a valid dictionary or object to extract fields from',
  input,
});

/** A body that is no JSON; `position` is the character at which it stops being any. */
export const toInvalidJson = (position: number): RequestDetail => ({
  type: 'json_invalid',
  loc: ['body', position],
  msg: 'JSON decode error',
  input: {},
  ctx: { error: 'Expecting valid JSON' },
});

/** Where JSON.parse says that a text goes wrong, or its beginning. */
export const findJsonError = (error: unknown): number => {
  const [, position] = /at position (\d+)/.exec(error instanceof Error ? error.message : '') ?? [];
  return Number(position ?? 0);
};
