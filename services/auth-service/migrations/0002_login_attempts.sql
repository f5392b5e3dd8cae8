CREATE TABLE "address_budgets" (
	"key" text PRIMARY KEY NOT NULL,
	"spent_until" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "login_failures" (
	"account_key" text NOT NULL,
	"source_key" text NOT NULL,
	"failures" integer NOT NULL,
	"blocked_until" timestamp with time zone NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	CONSTRAINT "login_failures_account_key_source_key_pk" PRIMARY KEY("account_key","source_key"),
	CONSTRAINT "login_failures_positive" CHECK ("login_failures"."failures" >= 0)
);
--> statement-breakpoint
CREATE TABLE "security_events" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"event_id" uuid NOT NULL,
	"type" text NOT NULL,
	"data" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"published_at" timestamp with time zone,
	CONSTRAINT "security_events_event_id_unique" UNIQUE("event_id")
);
--> statement-breakpoint
CREATE INDEX "address_budgets_spent_until_index" ON "address_budgets" USING btree ("spent_until");--> statement-breakpoint
CREATE INDEX "login_failures_expires_at_index" ON "login_failures" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "security_events_unpublished_index" ON "security_events" USING btree ("seq") WHERE "security_events"."published_at" is null;