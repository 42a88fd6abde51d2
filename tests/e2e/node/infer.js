// One inference with grpc-js: an implementation of gRPC that shares no code with the sidecar's.
//
// Usage: node infer.js PROTO ADDRESS < request.json > answer.json
// The answer holds either `response` or `error` (code and details), and the trailers.

"use strict";

const path = require("node:path");
const modules = process.env.NODE_MODULES;
const grpc = require(path.join(modules, "@grpc/grpc-js"));
const loader = require(path.join(modules, "@grpc/proto-loader"));

const [proto, address] = process.argv.slice(2);
const loaded = loader.loadSync(proto, { keepCase: true, longs: String, bytes: String, oneofs: true });
const { GRPCInferenceService } = grpc.loadPackageDefinition(loaded).inference;
const unlimited = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

function infer(asked) {
  const compression = { "grpc.default_compression_algorithm": asked.compression ?? 0 };
  const client = new GRPCInferenceService(address, grpc.credentials.createInsecure(), { ...unlimited, ...compression });
  const request = { ...asked.request };
  request.raw_input_contents = (request.raw_input_contents ?? []).map((raw) => Buffer.from(raw, "base64"));
  const answer = {};
  const call = client.ModelInfer(request, { deadline: Date.now() + 30_000 }, (error, response) => {
    Object.assign(answer, error ? { error: { code: error.code, details: error.details } } : { response });
  });
  call.on("status", (status) => {
    answer.trailers = status.metadata.getMap();
    delete answer.trailers.date;
    process.stdout.write(JSON.stringify(answer));
    client.close();
  });
}

let asked = "";
process.stdin.on("data", (part) => (asked += part));
process.stdin.on("end", () => infer(JSON.parse(asked)));
