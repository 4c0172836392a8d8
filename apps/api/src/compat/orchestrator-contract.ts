import { SERVICE_STATES } from '@berth/domain';

const text = { type: 'string' };
const status = { $ref: '#/components/schemas/Status' };
const json = (description: string) => ({ description, content: { 'application/json': { schema: status } } });
const zip = { schema: { type: 'string', format: 'binary' } };
const refusals = {
  400: json('The id is none, or the form is not right: the message says what'),
  401: json('The API key is missing or not valid'),
  404: json('There is no such job'),
  503: json('Redis or the store of files does not answer; try again'),
};
const id = {
  name: 'id',
  in: 'path',
  required: true,
  schema: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
};

const upload = {
  type: 'object',
  required: ['user_id', 'service'],
  properties: {
    file: { type: 'array', items: zip.schema, description: 'One of them is run.sh' },
    user_id: { type: 'integer', format: 'int32' },
    service: { ...text, description: 'In lower case' },
  },
};

const document = {
  openapi: '3.1.0',
  info: {
    title: "Berth, in the job orchestrator's format",
    version: '2',
    description: 'New clients use /openapi.json.',
  },
  security: [{ bearer: [] }, { header: [] }, {}],
  paths: {
    '/upload': {
      post: {
        summary: 'Submits a job: its files, up to 400 MiB',
        requestBody: { required: true, content: { 'multipart/form-data': { schema: upload } } },
        responses: { 201: json('It is queued'), ...refusals, 429: json('The user has too many jobs or files') },
      },
    },
    '/download/{id}': {
      get: {
        summary: 'The files of a completed job, or the status of any other',
        parameters: [id],
        responses: {
          200: {
            description: 'A zip where it is completed, else its status',
            content: { 'application/zip': zip, 'application/json': { schema: status } },
          },
          ...refusals,
        },
      },
    },
    '/download_partial/{id}': {
      get: {
        summary: 'The files of a job as they are now',
        parameters: [id],
        responses: { 200: { description: 'A zip', content: { 'application/zip': zip } }, ...refusals },
      },
    },
    '/terminate/{id}': {
      post: {
        summary: 'Ends a job, whatever it does now',
        parameters: [id],
        responses: {
          200: json('It is killed, or will be in a moment'),
          ...refusals,
          409: json('It has ended already'),
        },
      },
    },
    '/': {
      get: {
        summary: 'Whether anybody is here',
        responses: {
          200: {
            description: 'pong',
            content: { 'application/json': { schema: { type: 'object', properties: { message: text } } } },
          },
        },
      },
    },
  },
  components: {
    securitySchemes: {
      bearer: { type: 'http', scheme: 'bearer' },
      header: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
    },
    schemas: {
      Status: {
        type: 'object',
        required: ['id', 'status', 'message'],
        properties: { id: { type: 'integer' }, status: { ...text, enum: [...SERVICE_STATES] }, message: text },
      },
    },
  },
};

/** As JSON. */
export const ORCHESTRATOR_CONTRACT = JSON.stringify(document);
