/**
 * What an attempt left behind: one object that holds the files one behind the other (the pack), and this, as gzipped JSON, which says what
 * stands where. So ten thousand small files cost two objects, a single file is a range of the pack, and an archive of all is one read.
 */
export interface ArtifactManifest {
  files: ArtifactFile[];
}

export interface ArtifactFile {
  /** Relative to /workspace, with slashes; as data, never as a path of a machine of ours. */
  path: string;
  bytes: number;
  /** Hex. */
  sha256: string;
  /** Where it begins in the pack. */
  offset: number;
  /** The lower nine bits of its mode. */
  mode: number;
  /** Unix seconds. */
  changed_at: number;
}

/** What the record keeps of them, in the attempt. */
export interface ArtifactSummary {
  /** The epoch whose pack and manifest it is. */
  epoch: number;
  files: number;
  bytes: number;
  /** How many were refused: links, devices, what is beyond the caps. */
  refused: number;
  /** The first refusals, one line each, and what else went wrong. */
  notes: string[];
}
