/** Users of a former system: read from a file, checked, and brought into the database. */
export { FileSurvey, USER_ID_MAX } from './file-survey.ts';
export { defaultFieldNames, type FieldName, type FieldNames } from './former-user.ts';
export { ImportReport } from './import-report.ts';
export { UserImport, type ImportCounts } from './imports-service.ts';
export { SourceError, sourceFormats } from './sources/source.ts';
export { openUserFile, type UserFile } from './sources/user-file.ts';
