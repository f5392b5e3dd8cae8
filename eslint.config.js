import tseslint from 'typescript-eslint';
import eslint from '@eslint/js';

/** Type-aware rules: a forgotten `await` in a service that promises "exactly once" is a lost event. */
export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '.tap/**', '.infrasignal/**', 'e2e/fixtures/**'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Fastify's hooks and plugins are async by contract, whether or not they wait for anything.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-non-null-assertion': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'The environment is read in config.ts only.' },
      ],
    },
  },
  {
    // A test of a guarantee reads top to bottom; cutting it into functions hides what it does.
    files: ['**/test/**/*.ts', 'e2e/**/*.ts', 'packages/testkit/**/*.ts'],
    rules: {
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-restricted-properties': 'off',
    },
  },
  {
    // Each service's process entry hands the environment to its config.ts, which is the one that reads it.
    files: ['services/*/src/server.ts', 'services/auth-service/src/infrasignal.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['packages/local-stack/**/*.ts', 'scripts/**', 'bench/**'],
    rules: { 'no-console': 'off', 'no-restricted-properties': 'off' },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly', setTimeout: 'readonly' } },
  },
  {
    // The page is checked by its own configuration: browser names instead of Node's, types from JSDoc.
    files: ['packages/web/**/*.ts'],
    languageOptions: { parserOptions: { project: './packages/web/tsconfig.json' } },
  },
  {
    files: ['packages/web/public/**/*.js'],
    rules: {
      // Undefined names are found by the type checker, which knows the browser's.
      'no-undef': 'off',
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
    },
  },
);
