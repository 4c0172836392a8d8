export interface S3Place {
  bucket: string;
  /** Ends with a slash, or is empty. */
  prefix: string;
}

/** `s3://bucket/some/prefix`. Undefined: it is none. */
export const parseS3Url = (url: string): S3Place | undefined => {
  const [, bucket, path = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url) ?? [];
  const prefix = path.replace(/\/+$/, '');
  if (bucket === undefined || !/^[A-Za-z0-9._/-]*$/.test(prefix)) return undefined;
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/` };
};
