/**
 * The boundaries of ARCHITECTURE.md, kept by `npm test`. Every rule says why it exists.
 * @type {import('dependency-cruiser').IConfiguration}
 */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two modules that need each other are one module; a cycle also makes the order of loading matter.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'features-are-strangers',
      comment: 'A feature never imports another: app.ts hands it what it needs, so each can be read and moved alone.',
      severity: 'error',
      from: { path: '^services/([^/]+)/src/features/([^/]+)/' },
      to: { path: '^services/[^/]+/src/features/', pathNot: '^services/$1/src/features/$2/' },
    },
    {
      name: 'features-have-one-door',
      comment: 'From outside, a feature is its index.ts; everything else in it may change freely.',
      severity: 'error',
      from: { path: '^services/[^/]+/src/', pathNot: '^services/[^/]+/src/features/' },
      to: { path: '^services/[^/]+/src/features/[^/]+/(?!index\\.ts$)' },
    },
    {
      name: 'services-know-no-http',
      comment: 'What a feature decides must not depend on how it is asked.',
      severity: 'error',
      from: { path: '^services/.*-service\\.ts$' },
      to: { path: 'node_modules/(@fastify/|fastify)' },
    },
    {
      name: 'routes-know-no-sql',
      comment: 'A route translates between HTTP and its service; queries live in the repository.',
      severity: 'error',
      from: { path: '-routes\\.ts$' },
      to: { path: ['node_modules/(drizzle-orm|pg)/', '^services/[^/]+/src/db/', '-repository\\.ts$'] },
    },
    {
      name: 'hub-is-pure',
      comment: 'The hub is tested with thousands of random schedules; sockets, brokers and HTTP are its ports.',
      severity: 'error',
      from: { path: '^services/notify-service/src/hub/' },
      to: {
        path: ['node_modules/(ws|@nats-io|fastify|@fastify)', '^services/notify-service/src/(gateway|relay|plugins)/'],
      },
    },
    {
      name: 'outbox-knows-no-feature',
      comment: 'The outbox carries events; what they mean is decided where they are written.',
      severity: 'error',
      from: { path: '^services/auth-service/src/outbox/' },
      to: { path: '^services/auth-service/src/(features|plugins)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'lib-is-leaf',
      comment: 'lib/ holds utilities without domain words; whatever needs more is no utility.',
      severity: 'error',
      from: { path: '^services/[^/]+/src/lib/' },
      to: { path: '^services/[^/]+/src/(?!lib/)' },
    },
    {
      name: 'shared-is-pure',
      comment: 'The contract runs anywhere, a browser included: schemas and names, no I/O.',
      severity: 'error',
      from: { path: '^packages/shared/src/' },
      to: { pathNot: ['^packages/shared/src/', 'node_modules/typebox/'] },
    },
    {
      name: 'services-are-strangers',
      comment: 'Services are deployed and scaled one by one; they share packages, never code of each other.',
      severity: 'error',
      from: { path: '^services/([^/]+)/src/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'services-need-no-local-stack',
      comment: 'The local stack starts services; production starts them without it.',
      severity: 'error',
      from: { path: ['^services/[^/]+/src/', '^packages/(shared|service-kit|client)/src/'] },
      to: { path: '^packages/(local-stack|testkit)/' },
    },
    {
      name: 'src-imports-no-test',
      comment: 'What is shipped must not need what is not.',
      severity: 'error',
      from: { path: '/src/' },
      to: { path: ['/test/', '\\.test\\.ts$', 'node_modules/tap/', '^(e2e|bench)/'] },
    },
    {
      name: 'declared-dependencies-only',
      comment: 'A package that is not in package.json is there by luck.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-unresolvable',
      comment: 'An import that leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['/dist/', '^packages/web/public/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@infrasignal/source', 'import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
    // The boundaries are ours; where an edge comes from a type import, it is a dependency all the same.
    combinedDependencies: false,
  },
};
