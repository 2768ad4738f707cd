#!/usr/bin/env python3
"""Makes tests/data/bert_reference: a small random BERT and what `transformers` computes with it.

usage: make_reference.py [DIR]        needs torch, transformers, safetensors
The directory is a Hugging Face model directory; reference.safetensors holds a padded batch, the logits and hidden
states, the loss, the gradient of every parameter, and ten AdamW steps (losses, gradient norms, final weights).
Beside them, of the untrained model: texts.safetensors, a padded batch of texts.jsonl's texts with its outputs, and
fill_mask.json, the fill-mask pipeline's answers in the form of `weft fill-mask`.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertForPreTraining, pipeline

LEARNING_RATE, CLIP, STEPS = 2e-3, 1.0, 10
VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] the a of in on and to is was were it he she they we . , ! ? ' - ##s ##ed
    ##ing ##er ##ly ##est cat dog bird tree house river town king queen child man woman book day night year small big
    old new red saw made had went came sang walk song""".split()
TEXTS = [{"text": "The old cat walked to the river."}, {"text": "Birds!"},
         {"a": "was it the King's book?", "b": "It was, he said."},
         {"text": "the dog and the cat and the bird and the child and the man and the woman went to town"}]  # too long
MASKED = ["The cat [MASK] on the tree.", "the [MASK] of the [MASK] was old", "[MASK]", "She went to the smallest [MASK]!"]
TOP = 7


def batch(config):
    generator = torch.Generator().manual_seed(1)
    B, T = 3, 11
    ids = torch.randint(5, config.vocab_size, (B, T), generator=generator)
    lengths = torch.tensor([11, 7, 9])
    mask = (torch.arange(T)[None, :] < lengths[:, None]).long()
    ids = ids * mask
    types = ((torch.arange(T)[None, :] >= lengths[:, None] // 2) & (mask == 1)).long()
    labels = torch.full((B, T), -100)
    for b, places in enumerate([[1, 4, 5, 10], [2], [3, 8]]):
        for t in places:
            labels[b, t] = int(torch.randint(5, config.vocab_size, (1,), generator=generator))
    return ids, types, mask, labels, torch.tensor([0, 1, 1])


def write_tokenizer(out):
    with open(os.path.join(out, "vocab.txt"), "w") as f:
        f.write("".join(token + "\n" for token in VOCABULARY))
    with open(os.path.join(out, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "BertTokenizer", "do_lower_case": True}, f)
        f.write("\n")
    return AutoTokenizer.from_pretrained(out)


def write_texts(out, model, tokenizer):
    with open(os.path.join(out, "texts.jsonl"), "w") as f:
        f.write("".join(json.dumps(text) + "\n" for text in TEXTS))
    encodings = [tokenizer(t.get("text", t.get("a")), t.get("b"), truncation=True,
                           max_length=model.config.max_position_embeddings) for t in TEXTS]
    inputs = tokenizer.pad(encodings, return_tensors="pt")
    with torch.no_grad():
        result = model(**inputs, output_hidden_states=True)
        pooled = model.bert(**inputs).pooler_output
    tensors = {"input_ids": inputs["input_ids"], "token_type_ids": inputs["token_type_ids"],
               "attention_mask": inputs["attention_mask"], "logits": result.prediction_logits,
               "seq_relationship_logits": result.seq_relationship_logits, "pooler_output": pooled,
               "last_hidden_state": result.hidden_states[-1]}
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(out, "texts.safetensors"))


def write_fill_mask(out, tokenizer):
    fill = pipeline("fill-mask", model=out, tokenizer=tokenizer, top_k=TOP)
    answers = []
    for text in MASKED:
        masks = fill(text)
        if isinstance(masks[0], dict):  # of one mask
            masks = [masks]
        answers.append({"text": text, "masks": [
            [{"token": tokenizer.convert_ids_to_tokens(a["token"]), "id": a["token"], "score": a["score"]}
             for a in mask] for mask in masks]})
    with open(os.path.join(out, "fill_mask.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(a) for a in answers) + "\n]\n")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../../data/bert_reference")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=61, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
                        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                        initializer_range=0.2, attn_implementation="eager")
    model = BertForPreTraining(config)
    for name, p in model.named_parameters():  # biases and norms away from their trivial start
        if p.dim() == 1:
            p.data += 0.1 * torch.randn_like(p)
    model.eval()
    model.save_pretrained(out, safe_serialization=True)
    tokenizer = write_tokenizer(out)
    write_texts(out, model, tokenizer)
    write_fill_mask(out, tokenizer)

    ids, types, mask, labels, sentence = batch(config)
    inputs = dict(input_ids=ids, token_type_ids=types, attention_mask=mask, labels=labels, next_sentence_label=sentence)
    result = model(**inputs, output_hidden_states=True)
    tensors = {"input.ids": ids, "input.types": types, "input.mask": mask, "input.labels": labels,
               "input.sentence": sentence, "logits": result.prediction_logits,
               "seq_relationship_logits": result.seq_relationship_logits,
               "pooler_output": model.bert(ids, mask, types).pooler_output,
               "loss": result.loss.reshape(1)}
    for i, h in enumerate(result.hidden_states):
        tensors[f"hidden_states.{i}"] = h
    result.loss.backward()
    for name, p in model.named_parameters():
        tensors["grad." + name] = p.grad.clone()

    decay = [p for n, p in model.named_parameters() if p.dim() > 1]
    plain = [p for n, p in model.named_parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
                                  lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-6)
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP))
        optimizer.step()
        losses.append(loss.detach())
    tensors["steps.losses"] = torch.stack(losses)
    tensors["steps.grad_norms"] = torch.stack(norms)
    for name, p in model.named_parameters():
        tensors["final." + name] = p.detach().clone()
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, os.path.join(out, "reference.safetensors"))
    print(out, "loss", float(result.loss), "after", STEPS, "steps", float(losses[-1]))


if __name__ == "__main__":
    main()
