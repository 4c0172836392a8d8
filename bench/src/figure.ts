/** One measured number, beside what it should be. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  target?: { at_least: number } | { at_most: number };
  /** The values that `value` was made from, in the order of the rounds. */
  rounds?: number[];
  note?: string;
}

export interface Section {
  title: string;
  /** What was run, in words: a reader must be able to judge the numbers by it. */
  setting: string;
  figures: Figure[];
}

export const isMet = ({ value, target }: Figure): boolean | undefined => {
  if (target === undefined) return undefined;
  return 'at_least' in target ? value >= target.at_least : value <= target.at_most;
};

export const toNumberText = (value: number): string => {
  if (!Number.isFinite(value)) return '—';
  const size = Math.abs(value);
  return value.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
};

const toTargetText = ({ target }: Figure): string => {
  if (target === undefined) return '';
  return 'at_least' in target ? `≥ ${target.at_least}` : `≤ ${target.at_most}`;
};

const toRow = (figure: Figure): string[] => {
  const met = isMet(figure);
  const verdict = met === undefined ? '' : met ? 'met' : 'MISSED';
  return [
    figure.name,
    `${toNumberText(figure.value)} ${figure.unit}`,
    toTargetText(figure),
    verdict,
    figure.note ?? '',
  ];
};

/** The section as text for a terminal; targets first. */
export const toTable = ({ title, setting, figures }: Section): string => {
  const rows = figures.map(toRow);
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(0, ...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
  return [`\n${title}`, `  ${setting}`, ...lines].join('\n');
};
