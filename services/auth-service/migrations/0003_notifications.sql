CREATE TABLE "broadcast_log" (
	"is_only_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"event_seq" bigint NOT NULL,
	CONSTRAINT "broadcast_log_single_row" CHECK ("broadcast_log"."is_only_row"),
	CONSTRAINT "broadcast_log_event_seq_positive" CHECK ("broadcast_log"."event_seq" >= 0)
);
--> statement-breakpoint
CREATE TABLE "notification_allowances" (
	"sender_id" bigint PRIMARY KEY NOT NULL,
	"minute" timestamp with time zone NOT NULL,
	"recipient_count" integer NOT NULL,
	"broadcast_count" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sent_notifications" (
	"id" uuid PRIMARY KEY NOT NULL,
	"sender_id" bigint NOT NULL,
	"idempotency_key" text NOT NULL,
	"request_hash" text NOT NULL,
	"recipient_count" integer,
	"unknown_user_ids" bigint[] DEFAULT '{}' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "sent_notifications_sender_id_key_unique" UNIQUE("sender_id","idempotency_key")
);
--> statement-breakpoint
CREATE INDEX "sent_notifications_created_at_index" ON "sent_notifications" USING btree ("created_at");