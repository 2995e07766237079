#!/usr/bin/env node
// Derives tests/contract/{schema.graphql,openapi.json}: those types, fields, operations and answers of GitHub's
// published descriptions that the program uses, as bare facts. `--check` fails when the committed extract differs.
//
// The packages go into $CONTRACT_CACHE, or into a folder of the system's temporary directory.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = { '@octokit/graphql-schema': '15.26.1', '@octokit/openapi': '23.0.2', graphql: '16.15.0' };

// Large parts of an answer that the program never reads.
const OF_A_TOKEN = ['repositories', 'single_file', 'has_multiple_single_files', 'single_file_paths'];
const OF_A_RUN = [
  'actor', 'triggering_actor', 'repository', 'head_repository', 'head_commit', 'pull_requests', 'referenced_workflows',
];
const OF_AN_ISSUE = [
  'user', 'assignee', 'assignees', 'closed_by', 'milestone', 'reactions', 'performed_via_github_app', 'repository',
  'pull_request', 'sub_issues_summary', 'issue_dependencies_summary', 'issue_field_values', 'type', 'pinned_comment',
  'pin',
];

// Method, path, and what is left out.
const OPERATIONS = [
  ['put', '/repos/{owner}/{repo}/pulls/{pull_number}/merge', []],
  ['get', '/repos/{owner}/{repo}/pulls/{pull_number}/files', []],
  ['post', '/app/installations/{installation_id}/access_tokens', OF_A_TOKEN],
  ['get', '/repos/{owner}/{repo}/actions/workflows/{workflow_id}', []],
  ['put', '/repos/{owner}/{repo}/actions/workflows/{workflow_id}/disable', []],
  ['put', '/repos/{owner}/{repo}/actions/workflows/{workflow_id}/enable', []],
  ['get', '/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs', OF_A_RUN],
  ['post', '/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches', []],
  ['get', '/repos/{owner}/{repo}/actions/concurrency_groups/{concurrency_group_name}', []],
  ['get', '/repos/{owner}/{repo}/actions/runs/{run_id}/jobs', []],
  ['get', '/repos/{owner}/{repo}/actions/jobs/{job_id}/logs', []],
  ['post', '/repos/{owner}/{repo}/actions/runs/{run_id}/cancel', []],
  ['post', '/repos/{owner}/{repo}/issues', OF_AN_ISSUE],
  ['patch', '/repos/{owner}/{repo}/issues/{issue_number}', OF_AN_ISSUE],
  ['post', '/repos/{owner}/{repo}/issues/{issue_number}/comments', OF_AN_ISSUE],
  ['get', '/repos/{owner}/{repo}/branches/{branch}', ['commit', 'protection', '_links']],
];

// Facts only: no prose, no examples.
const PROSE = new Set([
  'description', 'example', 'examples', 'externalDocs', 'title', 'summary', 'deprecated', 'default', 'x-github',
]);

// An abstract type with more members than this keeps those that the documents name.
const FEW_MEMBERS = 8;

const contract = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'tests', 'contract');

function installed() {
  const folder = process.env.CONTRACT_CACHE ?? join(tmpdir(), 'coordinator-contract');
  const modules = join(folder, 'node_modules');
  const isThere = ([name, version]) => {
    const manifest = join(modules, name, 'package.json');
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version;
  };
  if (!Object.entries(PACKAGES).every(isThere)) {
    mkdirSync(folder, { recursive: true });
    const wanted = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`);
    const flags = ['--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
    execFileSync('npm', ['install', ...flags, ...wanted], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return modules;
}

/** The fields and arguments that the documents use, per type. */
function usage(graphql, schema) {
  const used = new Map();
  const note = (type, field, args = []) => {
    const fields = used.get(type) ?? used.set(type, new Map()).get(type);
    const known = fields.get(field) ?? fields.set(field, new Set()).get(field);
    args.forEach((arg) => known.add(arg));
  };
  const named = new Set();
  for (const file of readdirSync(join(contract, 'documents')).sort()) {
    const document = graphql.parse(readFileSync(join(contract, 'documents', file), 'utf8'));
    const problems = graphql.validate(schema, document);
    if (problems.length > 0) {
      throw new Error(`${file} is not valid: ${problems.map((problem) => problem.message).join('; ')}`);
    }
    const info = new graphql.TypeInfo(schema);
    graphql.visit(document, graphql.visitWithTypeInfo(info, {
      Field(node) {
        const parent = info.getParentType().name;
        if (!node.name.value.startsWith('__')) {
          note(parent, node.name.value, node.arguments.map((argument) => argument.name.value));
        }
        named.add(graphql.getNamedType(info.getType()).name);
      },
      NamedType(node) {
        named.add(node.name.value);
      },
    }));
  }
  return { used, named };
}

/** A schema of nothing but what is in use. */
function extractSchema(graphql, schema) {
  const { used, named } = usage(graphql, schema);
  const kept = new Set(['Query', ...named, ...used.keys()]);
  const members = (type) => {
    const possible = schema.getPossibleTypes(type);
    const few = possible.length <= FEW_MEMBERS;
    return possible.filter((member) => few || named.has(member.name) || used.has(member.name));
  };
  for (const name of [...kept]) {
    const type = schema.getType(name);
    if (graphql.isAbstractType(type)) members(type).forEach((member) => kept.add(member.name));
  }
  const interfacesOf = (type) => type.getInterfaces().filter((parent) => kept.has(parent.name));
  const lines = [];
  const arg = (argument) => `${argument.name}: ${argument.type}`;
  const inputs = new Set();
  const fieldLine = (type, name) => {
    const field = type.getFields()[name];
    const sources = [type, ...type.getInterfaces()];
    const wanted = new Set(sources.flatMap((source) => [...(used.get(source.name)?.get(name) ?? [])]));
    const args = field.args.filter((one) => wanted.has(one.name) || graphql.isRequiredArgument(one));
    args.forEach((one) => inputs.add(graphql.getNamedType(one.type)));
    inputs.add(graphql.getNamedType(field.type));
    return `  ${name}${args.length ? `(${args.map(arg).join(', ')})` : ''}: ${field.type}`;
  };
  const fieldsOf = (type) => {
    const names = new Set(used.get(type.name)?.keys() ?? []);
    for (const parent of interfacesOf(type)) {
      for (const name of used.get(parent.name)?.keys() ?? []) names.add(name);
      if (!used.get(parent.name)?.size) names.add(filler(parent));
    }
    return names.size > 0 ? [...names].sort() : [filler(type)];
  };
  const filler = (type) => {
    const fields = type.getFields();
    if (fields.id) return 'id';
    return Object.values(fields).find((field) => graphql.isLeafType(graphql.getNamedType(field.type)) && !field.args.length).name;
  };
  for (const name of [...kept].sort()) {
    const type = schema.getType(name);
    if (graphql.isUnionType(type)) {
      lines.push(`union ${name} = ${members(type).map((member) => member.name).sort().join(' | ')}`, '');
    } else if (graphql.isObjectType(type) || graphql.isInterfaceType(type)) {
      const word = graphql.isInterfaceType(type) ? 'interface' : 'type';
      const parents = interfacesOf(type).map((parent) => parent.name).sort();
      const head = parents.length ? `${word} ${name} implements ${parents.join(' & ')}` : `${word} ${name}`;
      lines.push(`${head} {`, ...fieldsOf(type).map((field) => fieldLine(type, field)), '}', '');
    }
  }
  const done = new Set();
  for (const type of inputs) {
    if (done.has(type.name) || graphql.isSpecifiedScalarType(type)) continue;
    done.add(type.name);
    if (graphql.isScalarType(type)) lines.push(`scalar ${type.name}`, '');
    if (graphql.isEnumType(type)) lines.push(`enum ${type.name} {`, ...type.getValues().map((value) => `  ${value.name}`), '}', '');
    if (graphql.isInputObjectType(type)) {
      const fields = Object.values(type.getFields());
      fields.forEach((field) => inputs.add(graphql.getNamedType(field.type)));
      lines.push(`input ${type.name} {`, ...fields.map((field) => `  ${arg(field)}`), '}', '');
    }
  }
  const text = lines.join('\n');
  graphql.assertValidSchema(graphql.buildSchema(text));
  return text;
}

/** References resolved, prose and what is left out gone, OpenAPI's `nullable` as JSON Schema says it. */
function bare(description, leftOut, value) {
  const inside = (inner) => bare(description, leftOut, inner);
  if (Array.isArray(value)) return value.map(inside);
  if (value === null || typeof value !== 'object') return value;
  if (value.$ref) {
    const target = value.$ref.slice(2).split('/').reduce((node, key) => node[key], description);
    return inside(target);
  }
  const result = {};
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'properties') {
      const properties = Object.entries(inner).filter(([name]) => !leftOut.includes(name));
      result.properties = Object.fromEntries(properties.map(([name, schema]) => [name, inside(schema)]));
    } else if (key === 'required' && Array.isArray(inner)) {
      result.required = inner.filter((name) => !leftOut.includes(name));
    } else if (!PROSE.has(key) && key !== 'nullable') {
      result[key] = inside(inner);
    }
  }
  if (!value.nullable) return result;
  if (typeof result.type === 'string') result.type = [result.type, 'null'];
  else return { anyOf: [result, { type: 'null' }] };
  if (result.enum) result.enum = [...result.enum, null];
  return result;
}

function extractOperations(description) {
  const operations = {};
  for (const [method, path, leftOut] of OPERATIONS) {
    const operation = bare(description, leftOut, description.paths[path][method]);
    const json = (content) => content?.['application/json']?.schema ?? null;
    const answers = Object.entries(operation.responses).map(([status, answer]) => [status, json(answer.content)]);
    operations[`${method.toUpperCase()} ${path}`] = {
      parameters: operation.parameters.map(({ name, in: where, required, schema }) => ({ name, in: where, required: required ?? false, schema })),
      request: operation.requestBody
        ? { required: operation.requestBody.required ?? false, schema: json(operation.requestBody.content) }
        : null,
      responses: Object.fromEntries(answers),
    };
  }
  operations['any error'] = bare(description, [], description.components.schemas['basic-error']);
  const lines = Object.entries(operations).map(([name, facts]) => `${JSON.stringify(name)}: ${JSON.stringify(facts, null, 1)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

const modules = installed();
const require = createRequire(join(modules, 'package.json'));
const graphql = require('graphql');
const read = (path) => JSON.parse(readFileSync(join(modules, path), 'utf8'));
const published = read('@octokit/graphql-schema/schema.json');
const schema = graphql.buildClientSchema(published.data ?? published, { assumeValid: true });
const extracts = {
  'schema.graphql': extractSchema(graphql, schema),
  'openapi.json': extractOperations(read('@octokit/openapi/generated/api.github.com.json')),
};

const isCheck = process.argv.includes('--check');
for (const [name, text] of Object.entries(extracts)) {
  const file = join(contract, name);
  if (!isCheck) {
    writeFileSync(file, text);
  } else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    console.error(`tests/contract/${name} differs from GitHub's description: run .ci/contract/derive.mjs and review the difference`);
    process.exitCode = 1;
  }
}
